// Where curves are measured: a sender and a receiver on one link, without judges, which the swarm has.
using Peregrine.Core.Tcp;
using Peregrine.Core.Time;
using Peregrine.Simulation.Hosts;
using Peregrine.Simulation.Links;
using Peregrine.Wire;

namespace Peregrine.Simulation.Curves;

internal sealed class CurveBed : IDisposable
{
    // A link with room for all that losses leave of a window, and a queue that takes whatever windows there are.
    public const long FreeRate = 100_000_000;
    public const int FreeQueue = 64 << 20;

    // Fast flows say soon what they are like: forty thousand segments are enough.
    private const long BytesMax = 60_000_000;

    private readonly SimulatedHost _sender, _receiver;
    private readonly BulkSender _sending = new();
    private readonly BulkReceiver _receiving = new();
    private ushort _lastPort = 10_000;

    /// <summary>Makes a bed.</summary>
    /// <param name="regions">Where memory comes from.</param>
    /// <param name="settings">The connections' settings.</param>
    /// <param name="roundTrip">There and back, without what waits in the queue.</param>
    /// <param name="rate">Bits a second.</param>
    /// <param name="queueBytes">Bytes that wait for the rate.</param>
    public CurveBed(RegionPool regions, TcpSettings settings, Duration roundTrip, long rate = FreeRate, int queueBytes = FreeQueue)
    {
        World = new SimulatedWorld(seed: 1, regions) { IsJudged = false };
        var stack = HostOptions.SmallStack with { BlockCount = 8_192, FrameCount = 1_024, TransmissionRecordCount = 16_384, Tcp = settings };
        var options = new HostOptions { Stack = stack, RingCount = 4_096 };
        (_sender, _receiver) = (World.AddHost("sender", options), World.AddHost("receiver", options));
        (_sender.Application, _receiver.Application) = (_sending, _receiving);
        Link = World.Connect(_sender, _receiver).Delay(roundTrip / 2).Rate(rate, queueBytes);
    }

    public SimulatedWorld World { get; }

    public SimulatedLink Link { get; }

    /// <summary>The way of the data, to which faults belong; acknowledgments always come back.</summary>
    public LinkLane Forward => Link.AtoB;

    /// <summary>Opens a flow now.</summary>
    /// <param name="bytes">How much it carries.</param>
    public BulkFlow Start(long bytes = long.MaxValue)
    {
        var flow = new BulkFlow(++_lastPort, bytes, World.Now);
        var options = new TcpConnectOptions(new Endpoint(_receiver.AddressV4, BulkReceiver.Port), new Endpoint(IpAddress.IPv4Any, flow.Port), null);
        _sender.Stack.Tcp.Connect(options, _sender.ReadClock(), out var handle);
        flow.Handle = handle;
        _sending.Add(flow);
        _receiving.Add(flow);
        _sender.Wake();
        return flow;
    }

    /// <summary>What the sender's connection is like now.</summary>
    public TcpInfo InfoOf(BulkFlow flow) => _sender.Stack.Tcp.TryGetInfo(flow.Handle, _sender.ReadClock(), out var info) ? info : default;

    /// <summary>Megabits of payload that a flow delivers a second, on average over a time that passes, or less where it delivers much.</summary>
    public double Throughput(BulkFlow flow, Duration warmUp, Duration time)
    {
        World.RunFor(warmUp);
        var (before, began) = (flow.ReceivedBytes, World.Now);
        World.RunUntil(() => flow.ReceivedBytes - before > BytesMax, time);
        return (flow.ReceivedBytes - before) * 8_000.0 / (World.Now - began).Nanoseconds;
    }

    public void Dispose() => World.Dispose();
}
