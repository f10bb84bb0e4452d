// An Ethernet switch: it learns where addresses are, forwards to that port, and floods what it does not know. It has no loops to fear:
// worlds are trees.
using Peregrine.Core.Time;
using Peregrine.Simulation.Hosts;
using Peregrine.Wire;

namespace Peregrine.Simulation.Nodes;

/// <summary>A learning switch.</summary>
public sealed class SimulatedSwitch : SimulatedNode
{
    private readonly Dictionary<ulong, int> _learned = [];

    internal SimulatedSwitch(SimulatedWorld world, string name)
        : base(world, name)
    {
    }

    /// <summary>Frames that went out of every port but their own.</summary>
    public long FloodedCount { get; private set; }

    /// <summary>A port that gets a copy of everything, or -1: where somebody listens.</summary>
    internal int MirrorPort { get; set; } = -1;

    internal override void OnFrame(int port, FrameBuffer frame, Instant now)
    {
        var bytes = frame.Span;
        if (bytes.Length < EthernetHeader.Length)
        {
            World.Buffers.Return(frame);
            return;
        }
        var source = MacAddress.Read(bytes[6..]);
        var destination = MacAddress.Read(bytes);
        // A damaged frame may name anybody: a switch believes it, and learns better from the next one.
        if (!source.IsMulticast && _learned.Count < 1_024) _learned[source.Value] = port;
        if (!destination.IsMulticast && _learned.TryGetValue(destination.Value, out var known))
        {
            if (MirrorPort >= 0 && MirrorPort != known && MirrorPort != port) Port(MirrorPort).Send(World.Buffers.Copy(frame), now);
            if (known == port) World.Buffers.Return(frame);
            else Send(known, frame, source, now);
            return;
        }
        FloodedCount++;
        for (var i = 0; i < PortCount; i++)
        {
            if (i != port) Send(i, World.Buffers.Copy(frame), source, now);
        }
        World.Buffers.Return(frame);
    }

    private void Send(int port, FrameBuffer frame, MacAddress source, Instant now)
    {
        var lane = Port(port);
        if (lane.To is SimulatedHost host && World.Cuts.Contains(source, host.Mac)) lane.Swallow(frame);
        else lane.Send(frame, now);
    }
}
