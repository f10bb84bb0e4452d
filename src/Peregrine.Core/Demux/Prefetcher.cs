// Asks the processor for a cache line before it is needed. Changes no result, only when the wait for memory happens.
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace Peregrine.Core.Demux;

/// <summary>Prefetches lines; a field of whoever does it.</summary>
internal unsafe struct Prefetcher
{
    private uint _sink;

    /// <summary>Starts to load every line of 64 bytes or more that holds one of <paramref name="length"/> readable bytes, wherever they begin.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Touch(void* address, int length)
    {
        for (var at = 0; at < length; at += 64) Touch((byte*)address + at);
        // Bytes that do not begin with a line end in one more.
        Touch((byte*)address + length - 1);
    }

    /// <summary>Starts to load the line at <paramref name="address"/>, which must be readable.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Touch(void* address)
    {
        if (Sse.IsSupported)
        {
            Sse.Prefetch0(address);
            return;
        }

        // Arm64 has no portable prefetch in .NET. An ordinary load does the same for a burst: loads that nothing waits for overlap, as
        // many as the core has miss buffers. It must not be a volatile one (an acquire load holds back all later loads, so a burst of
        // them would run one after the other), and its value must be used, else the compiler drops it.
        _sink += *(byte*)address;
    }
}
