// io_uring(7), as far as it makes one system call of many writes: each batch is submitted and waited for in one call. Not for anything that
// blocks. The kernel may not have it, or forbid it (kernel.io_uring_disabled, a container's filter): then there is none, and callers write.
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Threading;

namespace Peregrine.Drivers.Linux;

internal sealed unsafe partial class IoRing : IDisposable
{
    // System calls since 5.1 have one number everywhere.
    private const int SetupCall = 425, EnterCall = 426;
    private const int ParametersSize = 120, EntrySize = 64, CompletionSize = 16;
    private const uint FeatureSingleMapping = 1, EnterGetEvents = 1;
    private const nint EntriesOffset = 0x1000_0000;
    private const byte OperationWrite = 23;
    private const int NoWait = 8, AttemptCountMax = 100;

    private readonly int _descriptor;
    private readonly nint _rings, _entries;
    private readonly nuint _ringsLength, _entriesLength;
    private readonly uint* _tail, _completionHead, _completionTail;
    private readonly uint _mask, _completionMask;
    private readonly byte* _completions;
    private uint _queued;

    private IoRing(int descriptor, byte* parameters, nint rings, nuint ringsLength, nint entries, nuint entriesLength)
    {
        (_descriptor, _rings, _ringsLength, _entries, _entriesLength) = (descriptor, rings, ringsLength, entries, entriesLength);
        uint* submission = (uint*)(parameters + 40), completion = (uint*)(parameters + 80);
        Capacity = *(int*)parameters;
        _tail = At(submission[1]);
        _mask = *At(submission[2]);
        // Entry i stands in place i, always.
        for (var i = 0; i < Capacity; i++) At(submission[6])[i] = (uint)i;
        _completionHead = At(completion[0]);
        _completionTail = At(completion[1]);
        _completionMask = *At(completion[2]);
        _completions = (byte*)At(completion[5]);
    }

    /// <summary>Writes of a batch at most.</summary>
    public int Capacity { get; }

    /// <summary>Makes a ring; null where the kernel has none for us.</summary>
    public static IoRing? TryOpen(int capacity)
    {
        var parameters = stackalloc byte[ParametersSize];
        new Span<byte>(parameters, ParametersSize).Clear();
        var opened = PosixResult.From(SystemCall(SetupCall, capacity, (nint)parameters, 0, 0, 0, 0));
        if (opened.IsError) return null;
        var (count, completionCount, features) = (*(uint*)parameters, *(uint*)(parameters + 4), *(uint*)(parameters + 20));
        var (array, completions) = (*(uint*)(parameters + 64), *(uint*)(parameters + 100));
        var ringsLength = (nuint)Math.Max(array + (count * sizeof(uint)), completions + (completionCount * CompletionSize));
        var entriesLength = (nuint)count * EntrySize;
        var rings = (features & FeatureSingleMapping) != 0 ? XdpCalls.MapShared(opened.Int32, ringsLength, 0) : PosixResult.Of(Errno.ENOSYS);
        var entries = rings.IsError ? rings : XdpCalls.MapShared(opened.Int32, entriesLength, EntriesOffset);
        if (!entries.IsError) return new IoRing(opened.Int32, parameters, rings.Value, ringsLength, entries.Value, entriesLength);
        if (!rings.IsError) Posix.Unmap(rings.Value, ringsLength);
        Posix.Close(opened.Int32);
        return null;
    }

    /// <summary>Puts a write into the batch, which must have room. What it writes must stay until the batch is done.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Write(int descriptor, byte* bytes, int length)
    {
        var entry = (byte*)_entries + (((*_tail + _queued) & _mask) * EntrySize);
        Unsafe.InitBlockUnaligned(entry, 0, EntrySize);
        entry[0] = OperationWrite;
        *(int*)(entry + 4) = descriptor;
        *(ulong*)(entry + 16) = (ulong)bytes;
        *(int*)(entry + 24) = length;
        *(int*)(entry + 28) = NoWait;
        *(ulong*)(entry + 32) = _queued++;
    }

    /// <summary>
    /// Does the batch. Each write's result is what write(2) gives, or an errno as a negative number, by its place in the batch; EAGAIN for those
    /// that were not done. Then the ring is of no use any more.
    /// </summary>
    /// <returns>How many system calls it took.</returns>
    public int Submit(Span<int> results)
    {
        var (left, calls) = (_queued, 0);
        var toSubmit = left;
        results[..(int)left].Fill(-(int)Errno.EAGAIN);
        Volatile.Write(ref *_tail, *_tail + left);
        _queued = 0;
        // One call, unless a signal comes in between or the kernel is short of memory for a moment.
        while (left > 0 && calls < AttemptCountMax)
        {
            calls++;
            var entered = PosixResult.From(SystemCall(EnterCall, _descriptor, (nint)toSubmit, (nint)left, (nint)EnterGetEvents, 0, 0));
            if (!entered.IsError) toSubmit -= (uint)entered.Int32;
            left -= Collect(results);
        }
        return calls;
    }

    public void Dispose()
    {
        Posix.Unmap(_entries, _entriesLength);
        Posix.Unmap(_rings, _ringsLength);
        Posix.Close(_descriptor);
    }

    private uint Collect(Span<int> results)
    {
        var (head, tail) = (*_completionHead, Volatile.Read(ref *_completionTail));
        var count = tail - head;
        for (; head != tail; head++)
        {
            var completion = _completions + ((head & _completionMask) * CompletionSize);
            results[(int)*(ulong*)completion] = *(int*)(completion + 8);
        }
        Volatile.Write(ref *_completionHead, head);
        return count;
    }

    private uint* At(uint offset) => (uint*)(_rings + (nint)offset);

    // Variadic in C; both architectures pass six integers there as they do in fixed places.
    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static partial nint SystemCall(nint number, nint a, nint b, nint c, nint d, nint e, nint f);
}
