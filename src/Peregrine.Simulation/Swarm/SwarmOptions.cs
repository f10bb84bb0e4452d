// What the swarm's worlds are to be like. Everything else follows from the seed.
using System.Numerics;

namespace Peregrine.Simulation.Swarm;

internal sealed record SwarmOptions
{
    /// <summary>Faults that may be chosen.</summary>
    public SwarmFaults Faults { get; init; } = SwarmFaults.All;

    /// <summary>Hosts at most.</summary>
    public int HostCountMax { get; init; } = 6;

    /// <summary>Conversations at most; 0 for as many as a world is worth its seed with.</summary>
    public int FlowCountMax { get; init; }

    /// <summary>Frames that hosts have sent before faults stop.</summary>
    public int FrameCountMin { get; init; } = 5_000;

    /// <summary>Conversations before faults stop.</summary>
    public int FlowCountMin { get; init; } = 20;

    /// <summary>Bytes of a conversation at most, in each direction.</summary>
    public int BytesMax { get; init; } = 200_000;

    /// <summary>
    /// No host's applications are on sockets, and the adversary asks for few answers at a time: as worlds were at first, so that their seeds are what they were.
    /// </summary>
    public bool IsPlain { get; init; }

    /// <summary>A share of the hosts behaves as another system does, or has mechanisms of TCP off or on that are not so by default.</summary>
    public bool HasManners { get; init; }

    /// <summary>Text of the options that differ from the defaults, as the command line takes them.</summary>
    public string CommandLine
    {
        get
        {
            var text = "";
            var isFew = Faults != SwarmFaults.None && BitOperations.PopCount((uint)Faults) <= 15;
            if (isFew) text += " --only " + Names(Faults);
            else if (Faults != SwarmFaults.All) text += " --without " + Names(SwarmFaults.All & ~Faults);
            if (HostCountMax != 6) text += $" --hosts {HostCountMax}";
            if (FlowCountMax != 0) text += $" --flows {FlowCountMax}";
            if (BytesMax != 200_000) text += $" --bytes {BytesMax}";
            if (IsPlain) text += " --plain";
            if (HasManners) text += " --manners";
            return text;
        }
    }

    private static string Names(SwarmFaults kinds) => kinds.ToString().Replace(" ", "", StringComparison.Ordinal);
}
