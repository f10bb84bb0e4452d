// All conversations of a world, and what became of them.
using System.Buffers.Binary;
using System.Net.Sockets;

namespace Peregrine.Simulation.Traffic;

internal sealed class TrafficState(SimulatedWorld world)
{
    private const uint Magic = 0x5EED_F10E;

    private readonly List<Flow> _flows = [];
    private readonly byte[] _header = new byte[Flow.HeaderBytes];

    public SimulatedWorld World { get; } = world;

    public IReadOnlyList<Flow> Flows => _flows;

    /// <summary>Ends by the error that they ended with.</summary>
    public Dictionary<SocketError, long> Endings { get; } = [];

    public long DatagramsSent { get; set; }

    public long DatagramsReceived { get; set; }

    /// <summary>What code that awaits has found wrong: it cannot throw into the world's loop.</summary>
    public SimulationFailureException? Found { get; set; }

    /// <summary>Ends of conversations that were on sockets.</summary>
    public long SocketEnds { get; set; }

    /// <summary>Operations of sockets that were cancelled.</summary>
    public long Cancellations { get; set; }

    public Flow Add(FlowPlan plan)
    {
        var flow = new Flow(this, _flows.Count, plan);
        _flows.Add(flow);
        return flow;
    }

    /// <summary>A conversation with an adversary, from which nothing is expected but that it does no harm.</summary>
    public Flow AddRogue(Hosts.SimulatedHost server, int bytes)
    {
        var flow = Add(new FlowPlan { Client = server, Server = server, ServerBytes = bytes, IsRogue = true });
        flow.Excuses = Excuse.Application;
        return flow;
    }

    /// <summary>The eight bytes with which a client names its flow.</summary>
    public ReadOnlySpan<byte> HeaderOf(int flow)
    {
        BinaryPrimitives.WriteUInt32BigEndian(_header, (uint)flow);
        BinaryPrimitives.WriteUInt32BigEndian(_header.AsSpan(4), (uint)flow ^ Magic);
        return _header;
    }

    /// <summary>The flow that a header names; null when nobody has sent such a header.</summary>
    public Flow? Find(ReadOnlySpan<byte> header)
    {
        var id = BinaryPrimitives.ReadUInt32BigEndian(header);
        return (id ^ Magic) == BinaryPrimitives.ReadUInt32BigEndian(header[4..]) && id < (uint)_flows.Count ? _flows[(int)id] : null;
    }

    public void Ended(SocketError error) => Endings[error] = Endings.GetValueOrDefault(error) + 1;
}
