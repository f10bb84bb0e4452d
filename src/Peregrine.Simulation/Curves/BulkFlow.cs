// One transfer between the two hosts of a bed, and the applications at its ends: one gives as much as the stack takes, the other takes all.
using Peregrine.Core.Tcp;
using Peregrine.Core.Time;
using Peregrine.Core.Udp;
using Peregrine.Simulation.Hosts;
using Peregrine.Wire;

namespace Peregrine.Simulation.Curves;

/// <summary>A transfer of so many bytes, or without end.</summary>
internal sealed class BulkFlow(ushort port, long totalBytes, Instant started)
{
    /// <summary>The sender's port, by which the receiver knows the flow.</summary>
    public ushort Port { get; } = port;

    public Instant Started { get; } = started;

    public TcpHandle Handle { get; set; }

    public long LeftBytes { get; set; } = totalBytes;

    public long ReceivedBytes { get; set; }

    /// <summary>When the receiver had seen the end.</summary>
    public Instant Ended { get; set; } = Instant.Never;
}

internal sealed class BulkSender : IHostApplication
{
    private readonly byte[] _bytes = new byte[16_384];
    private readonly Dictionary<uint, BulkFlow> _flows = [];

    public void Add(BulkFlow flow) => _flows[flow.Handle.Index] = flow;

    public void OnStart(SimulatedHost host, Instant now)
    {
    }

    public void OnRestart(SimulatedHost host)
    {
    }

    public void OnEvent(SimulatedHost host, in TcpEvent e, Instant now)
    {
        if (!_flows.TryGetValue(e.Connection.Index, out var flow) || flow.Handle != e.Connection) return;
        if ((e.Events & TcpEvents.Closed) == 0) Pump(host, flow, now);
        else _flows.Remove(e.Connection.Index);
    }

    public void OnEvent(SimulatedHost host, in UdpEvent e, Instant now)
    {
    }

    public bool OnTurn(SimulatedHost host, Instant now) => false;

    private void Pump(SimulatedHost host, BulkFlow flow, Instant now)
    {
        while (flow.LeftBytes > 0)
        {
            var taken = host.Stack.Tcp.Send(flow.Handle, _bytes.AsSpan(0, (int)Math.Min(flow.LeftBytes, _bytes.Length)), now);
            if (taken <= 0) return;
            flow.LeftBytes -= taken;
        }
        host.Stack.Tcp.Close(flow.Handle, now);
    }
}

internal sealed class BulkReceiver : IHostApplication
{
    public const ushort Port = 80;

    private readonly byte[] _buffer = new byte[16_384];
    private readonly Dictionary<ushort, BulkFlow> _flows = [];
    private TcpListenerHandle _listener;

    public void Add(BulkFlow flow) => _flows[flow.Port] = flow;

    public void OnStart(SimulatedHost host, Instant now) => host.Stack.Tcp.Listen(new TcpListenOptions(new Endpoint(IpAddress.IPv6Any, Port), 64), out _listener);

    public void OnRestart(SimulatedHost host)
    {
    }

    public void OnEvent(SimulatedHost host, in TcpEvent e, Instant now)
    {
        if ((e.Events & TcpEvents.Acceptable) == 0)
        {
            Read(host, e.Connection, now);
            return;
        }
        while (host.Stack.Tcp.TryAccept(_listener, out var handle)) Read(host, handle, now);
    }

    public void OnEvent(SimulatedHost host, in UdpEvent e, Instant now)
    {
    }

    public bool OnTurn(SimulatedHost host, Instant now) => false;

    private void Read(SimulatedHost host, TcpHandle handle, Instant now)
    {
        var tcp = host.Stack.Tcp;
        if (!_flows.TryGetValue(tcp.RemoteOf(handle).Port, out var flow)) return;
        int n;
        while ((n = tcp.Receive(handle, _buffer, now)) > 0) flow.ReceivedBytes += n;
        if (!tcp.GetStatus(handle).PeerClosed || tcp.GetStatus(handle).ReadableBytes > 0) return;
        flow.Ended = host.World.Now;
        tcp.Close(handle, now);
    }
}
