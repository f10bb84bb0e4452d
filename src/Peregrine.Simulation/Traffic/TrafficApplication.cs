// The applications of a host that meets its stack directly: a server on two ports, the clients' ends, and datagrams with an echo.
using System.Net.Sockets;
using Peregrine.Core.Tcp;
using Peregrine.Core.Time;
using Peregrine.Core.Udp;
using Peregrine.Simulation.Hosts;
using Peregrine.Wire;

namespace Peregrine.Simulation.Traffic;

internal sealed class TrafficApplication(TrafficState traffic, SimulatedHost host, int backlog) : HostTraffic(traffic, host)
{
    private readonly Dictionary<uint, FlowEnd> _ends = [];
    private readonly List<FlowEnd> _due = [];
    private TcpListenerHandle _listener;
    private UdpHandle _datagrams;
    private bool _isListening, _isBound;

    public override bool IsNotAccepting { get; set; }

    public override int EndCount => _ends.Count;

    public override void OnStart(SimulatedHost host, Instant now)
    {
        Listen();
        _isBound = host.Stack.Udp.Bind(new UdpBindOptions { Local = new Endpoint(IpAddress.IPv6Any, DatagramPort) }, out _datagrams) == SocketError.Success;
    }

    public override void OnRestart(SimulatedHost host)
    {
        foreach (var end in _ends.Values.ToArray()) end.OnRestart();
        ExcuseUnaccepted(Excuse.Restart);
        _ends.Clear();
        _due.Clear();
        (_isListening, _isBound) = (false, false);
    }

    public override void OnEvent(SimulatedHost host, in TcpEvent e, Instant now)
    {
        if ((e.Events & TcpEvents.Acceptable) != 0)
        {
            Accept(now);
            return;
        }
        if (!_ends.TryGetValue(e.Connection.Index, out var end) || end.Handle != e.Connection) return;
        if ((e.Events & TcpEvents.Closed) != 0) end.OnClosed(e.Error, now);
        else end.Pump(now);
    }

    public override void OnEvent(SimulatedHost host, in UdpEvent e, Instant now)
    {
        while (host.Stack.Udp.TryTakeError(e.Socket, out _))
        {
        }
        for (var left = 64; left > 0; left--)
        {
            var n = host.Stack.Udp.Receive(e.Socket, Buffer, out var from, out _, out _);
            if (n < 0) break;
            var bytes = Buffer.AsSpan(0, n);
            if (TakeDatagram(bytes)) Host.Stack.Udp.Send(_datagrams, bytes, from, now, out _);
        }
    }

    public override bool OnTurn(SimulatedHost host, Instant now)
    {
        if (_due.Count == 0) return false;
        for (var i = 0; i < _due.Count; i++)
        {
            var end = _due[i];
            end.Pump(now);
        }
        _due.Clear();
        return true;
    }

    public override void SendDatagram(SimulatedHost to, bool isV6, int length)
    {
        if (!_isBound || !Host.IsRunning) return;
        var remote = new Endpoint(isV6 ? to.AddressV6 : to.AddressV4, DatagramPort);
        if (Host.Stack.Udp.Send(_datagrams, MakeDatagram(length), remote, Host.LocalNow, out _) >= 0) Traffic.DatagramsSent++;
        Host.Wake();
    }

    public void MarkDue(FlowEnd end)
    {
        _due.Add(end);
        Host.Wake();
    }

    public void Forget(FlowEnd end) => _ends.Remove(end.Handle.Index);

    public override void Listen()
    {
        if (_isListening) return;
        _isListening = Host.Stack.Tcp.Listen(new TcpListenOptions(new Endpoint(IpAddress.IPv6Any, Port), backlog), out _listener) == SocketError.Success;
    }

    public override void StopListening()
    {
        if (!_isListening) return;
        ExcuseUnaccepted(Excuse.Refused);
        Host.Stack.Tcp.CloseListener(_listener, Host.LocalNow);
        _isListening = false;
        Host.Wake();
    }

    public override void Accept(Instant now)
    {
        if (!_isListening || IsNotAccepting) return;
        while (Host.Stack.Tcp.TryAccept(_listener, out var handle))
        {
            var end = new FlowEnd(this, isClient: false, handle, null);
            _ends[handle.Index] = end;
            end.Pump(now);
        }
    }

    public override void AbortExcused()
    {
        foreach (var end in _ends.Values.ToArray())
        {
            if (end.Flow is null || end.Flow.Excuses != Excuse.None) end.Abort(Host.LocalNow);
        }
        Host.Wake();
    }

    public override void Close()
    {
        StopListening();
        if (_isBound) Host.Stack.Udp.Close(_datagrams);
        _isBound = false;
        Host.Wake();
    }

    protected override void Open(Flow flow)
    {
        var plan = flow.Plan;
        var remote = new Endpoint(plan.IsV6 ? plan.Server.AddressV6 : plan.Server.AddressV4, plan.Port);
        var local = plan.LocalPort == 0 ? default : new Endpoint(plan.IsV6 ? IpAddress.IPv6Any : IpAddress.IPv4Any, plan.LocalPort);
        var error = Host.Stack.Tcp.Connect(new TcpConnectOptions(remote, local, plan.Settings), Host.LocalNow, out var handle);
        if (error != SocketError.Success) flow.Done(isClient: true, error);
        else _ends[handle.Index] = new FlowEnd(this, isClient: true, handle, flow);
    }
}
