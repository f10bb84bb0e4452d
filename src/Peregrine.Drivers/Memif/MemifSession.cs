// One connection between two memif ends, from "connected" to its end: regions and rings. Counted, because several cores look at its
// memory and the control thread must not unmap it under any of them: whoever leaves last frees it.
using System.Threading;
using Peregrine.Drivers.Linux;

namespace Peregrine.Drivers.Memif;

internal sealed class MemifSession
{
    private readonly Action _onFailed;
    private int _references = 1;
    private string? _failure;

    /// <summary>Takes over regions and rings with their event descriptors.</summary>
    public MemifSession(MemifRegion[] regions, MemifRing[] toServer, MemifRing[] toClient, uint bufferSize, Action onFailed)
    {
        (Regions, ToServer, ToClient, BufferSize, _onFailed) = (regions, toServer, toClient, bufferSize, onFailed);
    }

    public MemifRegion[] Regions { get; }

    /// <summary>Rings whose packets go from the client to the server (S2M in the protocol's words).</summary>
    public MemifRing[] ToServer { get; }

    /// <summary>Rings whose packets go from the server to the client (M2S).</summary>
    public MemifRing[] ToClient { get; }

    /// <summary>Client: bytes of each buffer; they lie behind the rings in region 0, first those of rings to the server.</summary>
    public uint BufferSize { get; }

    /// <summary>Client: offset of the first buffer in region 0.</summary>
    public uint BuffersOffset { get; init; }

    /// <summary>Why a queue refused to go on, or null.</summary>
    public string? Failure => Volatile.Read(ref _failure);

    public bool TryAcquire()
    {
        for (var seen = Volatile.Read(ref _references); seen > 0; seen = Volatile.Read(ref _references))
        {
            if (Interlocked.CompareExchange(ref _references, seen + 1, seen) == seen) return true;
        }
        return false;
    }

    public void Release()
    {
        if (Interlocked.Decrement(ref _references) == 0) Free(Regions, ToServer, ToClient);
    }

    /// <summary>Called by a queue whose peer broke the rules; the control thread ends the session.</summary>
    public void Fail(string reason)
    {
        if (Interlocked.CompareExchange(ref _failure, reason, null) is null) _onFailed();
    }

    public static void Free(IEnumerable<MemifRegion> regions, IEnumerable<MemifRing> toServer, IEnumerable<MemifRing> toClient)
    {
        foreach (var ring in toServer.Concat(toClient))
        {
            if (ring.EventDescriptor >= 0) Posix.Close(ring.EventDescriptor);
        }
        foreach (var region in regions) region.Dispose();
    }
}
