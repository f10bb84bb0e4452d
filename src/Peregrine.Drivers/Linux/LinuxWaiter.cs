// How a core sleeps on Linux: ppoll(2) on its links' descriptors and an eventfd. The state word keeps wake-ups cheap for a core that
// is awake, and none is lost: whoever wakes exchanges the word, and only who finds a sleeper there makes the system call.
using System.Threading;
using Peregrine.Core.Links;
using Peregrine.Core.Time;

namespace Peregrine.Drivers.Linux;

internal sealed class LinuxWaiter : IWaiter
{
    private const int Awake = 0, Asleep = 1, Signalled = 2;
    private const int DescriptorCountMax = 64;

    // Longer than ppoll need ever wait: its sum with now must not overflow in the kernel.
    private const long ForEver = 365L * 86_400 * 1_000_000_000;

    private readonly PollDescriptor[] _descriptors = new PollDescriptor[DescriptorCountMax + 1];
    private int _state;
    private int _event;

    public LinuxWaiter() => _event = Posix.CreateEvent().ThrowIfError("cannot make an eventfd").Int32;

    public bool Wait(ReadOnlySpan<int> descriptors, Duration timeout)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(descriptors.Length, DescriptorCountMax, nameof(descriptors));
        if (Interlocked.CompareExchange(ref _state, Asleep, Awake) == Signalled)
        {
            Volatile.Write(ref _state, Awake);
            return true;
        }
        var poll = _descriptors.AsSpan(0, descriptors.Length + 1);
        poll[0] = new PollDescriptor { Descriptor = _event, Events = LinuxConstants.PollIn };
        // poll(2) itself skips negative descriptors.
        for (var i = 0; i < descriptors.Length; i++) poll[i + 1] = new PollDescriptor { Descriptor = descriptors[i], Events = LinuxConstants.PollIn };
        var ready = Posix.Poll(poll, timeout.Nanoseconds >= ForEver ? -1 : Math.Max(0, timeout.Nanoseconds));
        var woken = Interlocked.Exchange(ref _state, Awake) == Signalled;
        // Whoever signalled may be about to write only now; then the next wait ends early once, which is allowed.
        if (poll[0].Returned != 0) Drain();
        return woken || ready.IsError || ready.Value > 0;
    }

    public unsafe void Wake()
    {
        // An exchange and not a look: it is the full fence between what the waker has published and the sleeper's state.
        if (Interlocked.Exchange(ref _state, Signalled) != Asleep) return;
        ulong one = 1;
        // Cannot fail but with EAGAIN, when the counter is full and the descriptor readable anyhow.
        Posix.Write(_event, &one, sizeof(ulong));
    }

    private unsafe void Drain()
    {
        ulong count;
        Posix.Read(_event, &count, sizeof(ulong));
    }

    public void Dispose()
    {
        var descriptor = Interlocked.Exchange(ref _event, -1);
        if (descriptor >= 0) Posix.Close(descriptor);
    }
}
