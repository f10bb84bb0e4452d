// What one direction of a link does to frames: a record of values, changed as a whole while the world runs.
using Peregrine.Core.Time;

namespace Peregrine.Simulation.Links;

/// <summary>How a full link's queue is managed.</summary>
public enum QueueDiscipline : byte
{
    /// <summary>What does not fit is dropped.</summary>
    DropTail,

    /// <summary>Random early detection (RFC 2309): drops or marks with a growing chance from a quarter of the queue on.</summary>
    Red,

    /// <summary>Controlled delay (RFC 8289): drops or marks while frames wait for longer than 5 ms during 100 ms.</summary>
    CoDel,
}

/// <summary>What one direction of a link does to frames. Chances are in parts per million of frames.</summary>
public sealed record LinkConditions
{
    /// <summary>A good link: 1 ms, no limit of rate, nothing lost.</summary>
    public static LinkConditions Good { get; } = new();

    /// <summary>Time on the way. Default 1 ms.</summary>
    public Duration Delay { get; init; } = Duration.FromMilliseconds(1);

    /// <summary>Up to so much more, each time anew. Frames keep their order unless <see cref="JitterReorders"/>.</summary>
    public Duration Jitter { get; init; }

    /// <summary>Whether jitter may let frames overtake each other.</summary>
    public bool JitterReorders { get; init; }

    /// <summary>Bits a second; 0 for no limit.</summary>
    public long RateBitsPerSecond { get; init; }

    /// <summary>Bytes that wait for the rate at most. Default 128 KiB.</summary>
    public int QueueBytesMax { get; init; } = 128 * 1024;

    /// <summary>Who is dropped, and when.</summary>
    public QueueDiscipline Discipline { get; init; }

    /// <summary>Whether the queue's management marks ECN-capable packets (RFC 3168) instead of dropping them.</summary>
    public bool EcnMarks { get; init; }

    /// <summary>Frames lost, each independently.</summary>
    public int LossPerMillion { get; init; }

    /// <summary>Gilbert–Elliott: chance of a frame to begin a bad spell; 0 for none.</summary>
    public int BurstStartPerMillion { get; init; }

    /// <summary>Gilbert–Elliott: chance of a frame in a bad spell to end it.</summary>
    public int BurstEndPerMillion { get; init; } = 200_000;

    /// <summary>Gilbert–Elliott: frames lost in a bad spell.</summary>
    public int BurstLossPerMillion { get; init; } = 700_000;

    /// <summary>Every so-manieth frame is lost; 0 for none.</summary>
    public int LoseEveryNth { get; init; }

    /// <summary>Frames that arrive twice.</summary>
    public int DuplicationPerMillion { get; init; }

    /// <summary>Frames that come later by <see cref="ReorderDelay"/>, so that others overtake them.</summary>
    public int ReorderingPerMillion { get; init; }

    /// <summary>How much later reordered frames come, at most.</summary>
    public Duration ReorderDelay { get; init; } = Duration.FromMilliseconds(10);

    /// <summary>Frames damaged so that Ethernet's checksum catches it: as good as lost.</summary>
    public int CaughtCorruptionPerMillion { get; init; }

    /// <summary>Frames damaged where Ethernet's checksum does not look (in a switch's memory): IP and TCP must catch it.</summary>
    public int CorruptionPerMillion { get; init; }

    /// <summary>Largest IP packet in bytes; larger ones are lost without a word. Default 65,535.</summary>
    public int Mtu { get; init; } = 65_535;

    /// <summary>Whether frames get through at all.</summary>
    public bool IsUp { get; init; } = true;

    /// <summary>IP packets from so many bytes on are swallowed; 0 for none.</summary>
    public int SwallowFromBytes { get; init; }

    /// <summary>And to so many bytes.</summary>
    public int SwallowToBytes { get; init; } = int.MaxValue;
}
