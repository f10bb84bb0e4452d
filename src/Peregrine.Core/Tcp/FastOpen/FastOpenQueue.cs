// PendingFastOpenRequests of RFC 7413 §4.2: how many connections of a listener were opened by a SYN's data and have not shown yet that
// their sender is who it says. What was reset meanwhile counts on for a while (RFC 7413 §5.1): whoever sends SYNs under other people's addresses
// would have the bound lifted by their resets.
using Peregrine.Core.Time;

namespace Peregrine.Core.Tcp.FastOpen;

/// <summary>The count of one listener.</summary>
internal sealed class FastOpenQueue
{
    private static readonly Duration ResetMemory = Duration.FromSeconds(60);

    private readonly Queue<Instant> _resets = new();

    /// <summary>Connections whose handshake is not complete.</summary>
    internal int Pending { get; private set; }

    /// <summary>Whether no more may be opened.</summary>
    internal bool IsFull(int countMax, Instant now)
    {
        while (_resets.TryPeek(out var first) && now - first > ResetMemory) _resets.Dequeue();
        return Pending + _resets.Count >= countMax;
    }

    internal void OnOpened() => Pending++;

    /// <summary>One has completed its handshake, or has ended without.</summary>
    internal void OnEnded(bool wasReset, Instant now)
    {
        Pending--;
        if (wasReset) _resets.Enqueue(now);
    }
}
