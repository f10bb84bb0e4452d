// A link: two lanes that may differ. What it does to frames is said by records, or by the fluent calls here, which change both directions.
using Peregrine.Core.Time;
using Peregrine.Simulation.Nodes;

namespace Peregrine.Simulation.Links;

/// <summary>A link between two nodes.</summary>
public sealed class SimulatedLink
{
    internal SimulatedLink(SimulatedWorld world, SimulatedNode a, SimulatedNode b, int number, LinkConditions conditions)
    {
        Name = $"{a.Name}-{b.Name}";
        AtoB = new LinkLane(world, this, a, b, b.PortCount, number * 2, conditions);
        BtoA = new LinkLane(world, this, b, a, a.PortCount, (number * 2) + 1, conditions);
        a.Attach(AtoB);
        b.Attach(BtoA);
    }

    /// <summary>"a-b".</summary>
    public string Name { get; }

    /// <summary>The direction from the first node to the second.</summary>
    public LinkLane AtoB { get; }

    /// <summary>The direction from the second node to the first.</summary>
    public LinkLane BtoA { get; }

    /// <summary>Changes both directions: <c>link.Set(c => c with { LossPerMillion = 10_000 })</c>.</summary>
    public SimulatedLink Set(Func<LinkConditions, LinkConditions> change)
    {
        ArgumentNullException.ThrowIfNull(change);
        AtoB.Conditions = change(AtoB.Conditions);
        BtoA.Conditions = change(BtoA.Conditions);
        return this;
    }

    /// <summary>The direction away from a node: to make the ways differ.</summary>
    /// <exception cref="ArgumentException">The node is not at this link.</exception>
    public LinkLane From(SimulatedNode node) =>
        AtoB.From == node ? AtoB : BtoA.From == node ? BtoA : throw new ArgumentException($"{node?.Name} is not at the link {Name}.", nameof(node));

    /// <summary>Time on the way and up to so much more.</summary>
    public SimulatedLink Delay(Duration delay, Duration jitter = default) => Set(c => c with { Delay = delay, Jitter = jitter });

    /// <summary>Bits a second, and the bytes that may wait for them.</summary>
    public SimulatedLink Rate(long bitsPerSecond, int queueBytes = 128 * 1024) => Set(c => c with { RateBitsPerSecond = bitsPerSecond, QueueBytesMax = queueBytes });

    /// <summary>Loses so many parts per million, each frame independently.</summary>
    public SimulatedLink Lose(int perMillion) => Set(c => c with { LossPerMillion = perMillion });

    /// <summary>Delivers so many parts per million twice.</summary>
    public SimulatedLink Duplicate(int perMillion) => Set(c => c with { DuplicationPerMillion = perMillion });

    /// <summary>Delays so many parts per million, so that others overtake them.</summary>
    public SimulatedLink Reorder(int perMillion, Duration delay) => Set(c => c with { ReorderingPerMillion = perMillion, ReorderDelay = delay });

    /// <summary>Changes a byte in so many parts per million, unnoticed by Ethernet.</summary>
    public SimulatedLink Corrupt(int perMillion) => Set(c => c with { CorruptionPerMillion = perMillion });

    /// <summary>Nothing gets through.</summary>
    public SimulatedLink Cut() => Set(static c => c with { IsUp = false });

    /// <summary>What is sent gets through again.</summary>
    public SimulatedLink Heal() => Set(static c => c with { IsUp = true, SwallowFromBytes = 0 });
}
