// What a conversation of two hosts is meant to be. Values only.
using Peregrine.Core.Tcp;
using Peregrine.Core.Time;
using Peregrine.Simulation.Hosts;

namespace Peregrine.Simulation.Traffic;

/// <summary>Who sends when.</summary>
internal enum FlowKind : byte
{
    /// <summary>Both sides send all they have, at once.</summary>
    BothWays,

    /// <summary>A request, its answer, the next request.</summary>
    Requests,
}

/// <summary>How a conversation ends.</summary>
internal enum FlowEnding : byte
{
    /// <summary>Both sides send FIN when they have sent all, and let go when they have received all.</summary>
    Orderly,

    /// <summary>The client resets the connection in the middle.</summary>
    ClientAborts,

    /// <summary>The server does.</summary>
    ServerAborts,

    /// <summary>The client lets go in the middle, whatever may still come.</summary>
    ClientLeaves,
}

/// <summary>A conversation as planned.</summary>
internal sealed record FlowPlan
{
    public required SimulatedHost Client { get; init; }

    public required SimulatedHost Server { get; init; }

    public ushort Port { get; init; } = 80;

    public bool IsV6 { get; init; }

    public FlowKind Kind { get; init; }

    public FlowEnding Ending { get; init; }

    /// <summary>Bytes from client to server, without the eight that name the flow.</summary>
    public int ClientBytes { get; init; }

    public int ServerBytes { get; init; }

    public int Rounds { get; init; } = 1;

    /// <summary>After so many received bytes the one who ends in the middle does so.</summary>
    public int EndAfterBytes { get; init; }

    /// <summary>Bytes that an application writes or reads in one call.</summary>
    public int ChunkBytes { get; init; } = 16_384;

    /// <summary>A slow reader waits so long between two chunks.</summary>
    public Duration ReadPause { get; init; }

    /// <summary>An application that stalls does nothing at all for so long, once.</summary>
    public Duration Stall { get; init; }

    /// <summary>Both let their handles go as soon as they have received all, and never learn what became of what they sent.</summary>
    public bool LetsGo { get; init; }

    public ushort LocalPort { get; init; }

    public TcpSettings? Settings { get; init; }

    /// <summary>The client is an adversary's: what it sends is anything, and it owes nobody an end.</summary>
    public bool IsRogue { get; init; }

    /// <summary>Begun when faults have stopped: it must succeed.</summary>
    public bool IsCalm { get; init; }
}
