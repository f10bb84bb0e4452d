// Something at the ends of links: a host, a switch, a router, an adversary.
using Peregrine.Core.Time;
using Peregrine.Simulation.Links;

namespace Peregrine.Simulation.Nodes;

/// <summary>A node of a world.</summary>
public abstract class SimulatedNode
{
    private readonly List<LinkLane> _ports = [];

    private protected SimulatedNode(SimulatedWorld world, string name) => (World, Name) = (world, name);

    /// <summary>The node's name.</summary>
    public string Name { get; }

    /// <summary>The world that it is in.</summary>
    public SimulatedWorld World { get; }

    internal int PortCount => _ports.Count;

    internal LinkLane Port(int number) => _ports[number];

    internal virtual void Attach(LinkLane outgoing) => _ports.Add(outgoing);

    /// <summary>A frame has arrived; its buffer is the node's from here on.</summary>
    internal abstract void OnFrame(int port, FrameBuffer frame, Instant now);
}
