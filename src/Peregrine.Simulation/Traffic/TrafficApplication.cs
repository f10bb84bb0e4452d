// The applications of a host that meets its stack directly: a server on two ports, the clients' ends, and datagrams with an echo.
using System.Buffers.Binary;
using System.Net.Sockets;
using Peregrine.Core.Tcp;
using Peregrine.Core.Time;
using Peregrine.Core.Udp;
using Peregrine.Simulation.Hosts;
using Peregrine.Wire;

namespace Peregrine.Simulation.Traffic;

internal sealed class TrafficApplication(TrafficState traffic, SimulatedHost host, int backlog) : IHostApplication
{
    public const ushort Port = 80;
    public const ushort DatagramPort = 7;

    private readonly Dictionary<uint, FlowEnd> _ends = [];
    private readonly List<FlowEnd> _due = [];
    private TcpListenerHandle _listener;
    private UdpHandle _datagrams;
    private bool _isListening, _isBound;

    public SimulatedHost Host { get; } = host;

    public TrafficState Traffic { get; } = traffic;

    public SimulatedWorld World => Traffic.World;

    public byte[] Buffer { get; } = new byte[16_384];

    /// <summary>Faults have stopped: nobody is slow any more.</summary>
    public bool IsCalm { get; set; }

    /// <summary>Whether strangers speak to this host.</summary>
    public bool HasRogues { get; set; }

    /// <summary>A server that does not accept for now: its queue fills.</summary>
    public bool IsNotAccepting { get; set; }

    public int EndCount => _ends.Count;

    public void OnStart(SimulatedHost host, Instant now)
    {
        Listen();
        _isBound = host.Stack.Udp.Bind(new UdpBindOptions { Local = new Endpoint(IpAddress.IPv6Any, DatagramPort) }, out _datagrams) == SocketError.Success;
    }

    public void OnRestart(SimulatedHost host)
    {
        foreach (var end in _ends.Values.ToArray()) end.OnRestart();
        ExcuseUnaccepted(Excuse.Restart);
        _ends.Clear();
        _due.Clear();
        (_isListening, _isBound) = (false, false);
    }

    public void OnEvent(SimulatedHost host, in TcpEvent e, Instant now)
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

    public void OnEvent(SimulatedHost host, in UdpEvent e, Instant now)
    {
        while (host.Stack.Udp.TryTakeError(e.Socket, out _))
        {
        }
        for (var left = 64; left > 0; left--)
        {
            var n = host.Stack.Udp.Receive(e.Socket, Buffer, out var from, out _, out _);
            if (n < 0) break;
            OnDatagram(Buffer.AsSpan(0, n), from, now);
        }
    }

    public bool OnTurn(SimulatedHost host, Instant now)
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

    /// <summary>Begins a conversation.</summary>
    public Flow Connect(FlowPlan plan)
    {
        var flow = Traffic.Add(plan);
        if (!Host.IsRunning)
        {
            flow.Excuses |= Excuse.Restart;
            flow.Done(isClient: true, SocketError.NetworkDown);
            return flow;
        }
        var now = Host.LocalNow;
        var remote = new Endpoint(plan.IsV6 ? plan.Server.AddressV6 : plan.Server.AddressV4, plan.Port);
        var local = plan.LocalPort == 0 ? default : new Endpoint(plan.IsV6 ? IpAddress.IPv6Any : IpAddress.IPv4Any, plan.LocalPort);
        var error = Host.Stack.Tcp.Connect(new TcpConnectOptions(remote, local, plan.Settings), now, out var handle);
        if (error != SocketError.Success) flow.Done(isClient: true, error);
        else _ends[handle.Index] = new FlowEnd(this, isClient: true, handle, flow);
        Host.Wake();
        return flow;
    }

    /// <summary>Sends a datagram that names itself; whoever gets it echoes it.</summary>
    public void SendDatagram(SimulatedHost to, bool isV6, int length)
    {
        if (!_isBound || !Host.IsRunning) return;
        var bytes = Buffer.AsSpan(0, Math.Max(length, 8));
        var id = (int)(Traffic.DatagramsSent & 0xFFFF);
        WriteDatagram(bytes, id, isEcho: false);
        if (Host.Stack.Udp.Send(_datagrams, bytes, new Endpoint(isV6 ? to.AddressV6 : to.AddressV4, DatagramPort), Host.LocalNow, out _) >= 0) Traffic.DatagramsSent++;
        Host.Wake();
    }

    public void MarkDue(FlowEnd end)
    {
        _due.Add(end);
        Host.Wake();
    }

    public void Forget(FlowEnd end) => _ends.Remove(end.Handle.Index);

    public void Listen()
    {
        if (_isListening) return;
        _isListening = Host.Stack.Tcp.Listen(new TcpListenOptions(new Endpoint(IpAddress.IPv6Any, Port), backlog), out _listener) == SocketError.Success;
    }

    /// <summary>Closes the listener; who waits to be accepted is reset.</summary>
    public void StopListening()
    {
        if (!_isListening) return;
        ExcuseUnaccepted(Excuse.Refused);
        Host.Stack.Tcp.CloseListener(_listener, Host.LocalNow);
        _isListening = false;
        Host.Wake();
    }

    // Connections that wait to be accepted go without a server's end that could say so.
    private void ExcuseUnaccepted(Excuse excuse)
    {
        foreach (var flow in Traffic.Flows)
        {
            if (flow.Plan.Server == Host && !flow.IsDone && !flow.IsServerAccepted) flow.Excuses |= excuse;
        }
    }

    public void Accept(Instant now)
    {
        if (!_isListening || IsNotAccepting) return;
        while (Host.Stack.Tcp.TryAccept(_listener, out var handle))
        {
            var end = new FlowEnd(this, isClient: false, handle, null);
            _ends[handle.Index] = end;
            end.Pump(now);
        }
    }

    /// <summary>Ends those whose peer will never come back: excused flows, and connections that never said what they are.</summary>
    public void AbortExcused()
    {
        foreach (var end in _ends.Values.ToArray())
        {
            if (end.Flow is null || end.Flow.Excuses != Excuse.None) end.Abort(Host.LocalNow);
        }
        Host.Wake();
    }

    /// <summary>Closes what is not a conversation: the end of the world.</summary>
    public void Close()
    {
        StopListening();
        if (_isBound) Host.Stack.Udp.Close(_datagrams);
        _isBound = false;
        Host.Wake();
    }

    private static void WriteDatagram(Span<byte> bytes, int id, bool isEcho)
    {
        BinaryPrimitives.WriteInt32BigEndian(bytes, id);
        BinaryPrimitives.WriteUInt16BigEndian(bytes[4..], (ushort)bytes.Length);
        BinaryPrimitives.WriteUInt16BigEndian(bytes[6..], (ushort)(isEcho ? 1 : 0));
        for (var done = 8; done < bytes.Length;)
        {
            var part = Pattern.At(id, 2, done, bytes.Length - done);
            part.CopyTo(bytes[done..]);
            done += part.Length;
        }
    }

    private void OnDatagram(Span<byte> bytes, in Endpoint from, Instant now)
    {
        Traffic.DatagramsReceived++;
        var good = bytes.Length >= 8 && BinaryPrimitives.ReadUInt16BigEndian(bytes[4..]) == bytes.Length;
        var id = good ? BinaryPrimitives.ReadInt32BigEndian(bytes) : 0;
        good = good && Pattern.FirstWrong(id & 0xFFFF, 2, 8, bytes[8..]) < 0;
        World.Judged.BytesVerified += bytes.Length;
        if (!good)
        {
            if (HasRogues) return;
            throw World.Failure("delivered bytes", Host.Name, $"a datagram of {bytes.Length} bytes is none that was sent");
        }
        if (BinaryPrimitives.ReadUInt16BigEndian(bytes[6..]) != 0) return;
        bytes[7] = 1;
        Host.Stack.Udp.Send(_datagrams, bytes, from, now, out _);
    }
}
