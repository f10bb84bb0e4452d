// A platform without system calls of our own: ordinary memory, a managed lock to sleep on, no pinning. It works everywhere and serves
// links without a descriptor; a link with one is polled now and then, which costs latency, so real links want the Linux platform.
using System.Security.Cryptography;
using Peregrine.Core.Links;
using Peregrine.Core.Memory;
using Peregrine.Core.Time;

namespace Peregrine;

/// <summary>The platform that a network uses when it is given none.</summary>
public sealed class ManagedPlatform : ICorePlatform
{
    /// <inheritdoc/>
    public MemoryRegion MapRegion(nuint bytes, bool hugePages) => MemoryRegion.Allocate(bytes);

    /// <inheritdoc/>
    public IWaiter CreateWaiter() => new ManagedWaiter();

    /// <summary>Always false: pinning needs a system call.</summary>
    public bool PinCurrentThread(int cpu) => false;

    /// <inheritdoc/>
    public void FillEntropy(Span<byte> destination) => RandomNumberGenerator.Fill(destination);

    private sealed class ManagedWaiter : IWaiter
    {
        // A descriptor cannot be waited for here: look again after a millisecond.
        private const int DescriptorPollMs = 1;

        private readonly ManualResetEventSlim _event = new(false, spinCount: 0);

        public bool Wait(ReadOnlySpan<int> descriptors, Duration timeout)
        {
            var ms = (int)Math.Clamp((timeout.Nanoseconds + 999_999) / 1_000_000, 0, int.MaxValue);
            foreach (var descriptor in descriptors)
            {
                if (descriptor >= 0) ms = Math.Min(ms, DescriptorPollMs);
            }
            var woken = _event.Wait(ms);
            if (woken) _event.Reset();
            return woken;
        }

        public void Wake()
        {
            if (!_event.IsSet) _event.Set();
        }

        public void Dispose() => _event.Dispose();
    }
}
