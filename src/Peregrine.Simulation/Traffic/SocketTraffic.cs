// The applications of a host that are written on sockets: the same conversations as TrafficApplication's, by methods that await. All runs on the world's one
// thread: a continuation runs in the host's turn, or in a timer of the host as on another thread than the core's. An event that the sockets forget leaves
// a method waiting, and the judges see that.
using System.Net;
using System.Net.Sockets;
using Peregrine.Core.Time;
using Peregrine.Simulation.Hosts;
using Peregrine.Sockets;
using Peregrine.Wire;

namespace Peregrine.Simulation.Traffic;

internal sealed class SocketTraffic(TrafficState traffic, SimulatedHost host, int backlog) : HostTraffic(traffic, host), IEventTarget
{
    private static readonly Duration s_turns = Duration.FromSeconds(1);

    private readonly List<SocketEnd> _ends = [];
    private readonly List<CancellationToken> _accepts = [];
    private readonly byte[] _received = new byte[16_384];
    private Sockets.TcpListener? _listener;
    private CancellationTokenSource? _accepting;
    private UdpSocket? _datagrams;
    private bool _isNotAccepting, _isSendingDatagram;

    public override int EndCount => _ends.Count;

    public override bool IsNotAccepting
    {
        get => _isNotAccepting;
        set
        {
            _isNotAccepting = value;
            if (!value) return;
            // The accept that waits is cancelled; what comes meanwhile must be there for the next one.
            if (_accepting is not { } accepting) return;
            _accepting = null;
            accepting.Cancel();
            Later(() =>
            {
                if (_accepts.Contains(accepting.Token)) throw Cancellation(Host.Name, "an accept was cancelled and waits on");
            });
        }
    }

    public override void OnStart(SimulatedHost host, Instant now)
    {
        Listen();
        try
        {
            _datagrams = Host.Network.BindUdp(new IPEndPoint(IPAddress.IPv6Any, DatagramPort));
            Run(() => EchoAsync(_datagrams));
        }
        catch (SocketException)
        {
            _datagrams = null;
        }
    }

    public override void OnRestart(SimulatedHost host)
    {
        foreach (var end in _ends.ToArray()) end.OnRestart();
        ExcuseUnaccepted(Excuse.Restart);
        _ends.Clear();
        _accepts.Clear();
        (_listener, _accepting, _datagrams, _isSendingDatagram) = (null, null, null, false);
    }

    public override void SendDatagram(SimulatedHost to, bool isV6, int length)
    {
        if (_datagrams is null || _isSendingDatagram || !Host.IsRunning) return;
        var bytes = MakeDatagram(length).ToArray();
        Traffic.DatagramsSent++;
        Run(() => SendAsync(_datagrams, bytes, new Endpoint(isV6 ? to.AddressV6 : to.AddressV4, DatagramPort)));
    }

    public override void Listen()
    {
        if (_listener is not null) return;
        try
        {
            _listener = Host.Network.ListenTcp(new IPEndPoint(IPAddress.IPv6Any, Port), new TcpListenerOptions { Backlog = backlog });
        }
        catch (SocketException)
        {
            return;
        }
        Accept(Host.LocalNow);
    }

    public override void StopListening()
    {
        if (_listener is not { } listener) return;
        ExcuseUnaccepted(Excuse.Refused);
        (_listener, _accepting) = (null, null);
        // At this moment, as those are excused who wait at this moment.
        Host.Network.Engine.Run(() =>
        {
            listener.Dispose();
            return true;
        });
        Host.Wake();
    }

    public override void Accept(Instant now)
    {
        if (_listener is not { } listener || IsNotAccepting || _accepting is not null) return;
        _accepting = new CancellationTokenSource();
        var cancel = _accepting.Token;
        Run(() => AcceptAsync(listener, cancel));
    }

    public override void AbortExcused()
    {
        foreach (var end in _ends.ToArray())
        {
            if (end.Flow is null || end.Flow.Excuses != Excuse.None) end.Abort();
        }
        Host.Wake();
    }

    public override void Close()
    {
        StopListening();
        _datagrams?.Dispose();
        _datagrams = null;
        Host.Wake();
    }

    public override IEnumerable<string> Describe() => _ends.Select(static end => end.ToString());

    public void Forget(SocketEnd end) => _ends.Remove(end);

    /// <summary>A call when so much of the host's time has passed.</summary>
    public void After(Duration time, Action action) => Host.AddTimer(Host.ShownClock + time, this, action);

    /// <summary>A call when the host has run for long enough to do what it was asked for now. Of the world's time: it wakes no host that forgot to wake.</summary>
    public void Later(Action action) => WhenRunning(() => WhenRunning(action));

    /// <summary>What an operation of a socket has done after a cancellation, or without one.</summary>
    public SimulationFailureException Cancellation(string where, string what) => World.Failure("cancellation", where, what);

    /// <summary>Waits for so much of the host's time.</summary>
    public Task Delay(Duration time)
    {
        var source = new TaskCompletionSource();
        After(time, source.SetResult);
        return source.Task;
    }

    void IEventTarget.OnEvent(object? payload, Instant now) => ((Action)payload!)();

    protected override void Open(Flow flow) => Begin(new SocketEnd(this, isClient: true, flow), null);

    private void Begin(SocketEnd end, TcpConnection? connection)
    {
        _ends.Add(end);
        Run(() => end.RunAsync(connection));
    }

    private void WhenRunning(Action action) => World.After(s_turns, () =>
    {
        if (Host.IsRunning) action();
        else WhenRunning(action);
    });

    // What is found must end the world, and a task that nobody awaits would keep it to itself.
    private void Run(Func<Task> code) => _ = RunAsync(code);

    private async Task RunAsync(Func<Task> code)
    {
        try
        {
            await code().ConfigureAwait(false);
        }
        catch (SimulationFailureException e)
        {
            Traffic.Found ??= e;
        }
        catch (Exception e)
        {
            Traffic.Found ??= World.Failure("no exceptions", Host.Name, $"{e.GetType().Name}: {e.Message}", e);
        }
    }

    private async Task AcceptAsync(Sockets.TcpListener listener, CancellationToken cancel)
    {
        _accepts.Add(cancel);
        try
        {
            while (true)
            {
                var connection = await listener.AcceptAsync(cancel).ConfigureAwait(false);
                Begin(new SocketEnd(this, isClient: false, null), connection);
            }
        }
        catch (Exception e) when (e is OperationCanceledException or ObjectDisposedException or SocketException { SocketErrorCode: SocketError.OperationAborted })
        {
            Traffic.Cancellations += e is OperationCanceledException ? 1 : 0;
        }
        finally
        {
            _accepts.Remove(cancel);
        }
    }

    private async Task EchoAsync(UdpSocket socket)
    {
        try
        {
            while (true)
            {
                var datagram = await socket.ReceiveFromAsync(_received).ConfigureAwait(false);
                if (!TakeDatagram(_received.AsSpan(0, datagram.ReceivedBytes)) || _isSendingDatagram) continue;
                await SendAsync(socket, _received.AsMemory(0, datagram.ReceivedBytes), datagram.RemoteEndpoint).ConfigureAwait(false);
            }
        }
        catch (Exception e) when (e is ObjectDisposedException or SocketException { SocketErrorCode: SocketError.OperationAborted })
        {
        }
    }

    private async Task SendAsync(UdpSocket socket, ReadOnlyMemory<byte> bytes, Endpoint to)
    {
        _isSendingDatagram = true;
        try
        {
            await socket.SendToAsync(bytes, to).ConfigureAwait(false);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // Datagrams may be lost, here as well: no route, no room, or the host has gone down.
        }
        if (ReferenceEquals(socket, _datagrams)) _isSendingDatagram = false;
    }
}
