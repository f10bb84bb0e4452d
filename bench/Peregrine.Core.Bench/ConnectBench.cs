// What a connection costs the server from SYN to its last ACK, a request of one byte and its answer on it: accept, call-back, close by the
// client first. Only the server's turns are timed. And what a SYN of a flood costs it, whose backlog is full: the answer is a cookie.
using System.Net.Sockets;
using Peregrine.Core.Memory;
using Peregrine.Core.Tcp;
using Peregrine.Core.Time;
using Peregrine.Sockets;
using Peregrine.Wire;

namespace Peregrine.Core.Bench;

internal sealed class ConnectBench : IDisposable
{
    private const ushort Port = 1_000;

    private readonly BenchPair _pair;

    private readonly TcpListenerHandle _listener;
    private readonly byte[] _received = new byte[64], _request = [1];
    private readonly TcpHandle[] _open = new TcpHandle[BenchPair.Burst];
    private int _served;

    private ConnectBench(int repliesPerSecondMax)
    {
        _pair = new BenchPair(new StackOptions
        {
            ConnectionCountMax = 4_096, TimeWaitCountMax = 8_192, SynBacklogCountMax = 256, FrameCount = 4_096, BlockSizeBytes = 1_024, BlockCount = 8_192,
            TcpRepliesPerSecond = repliesPerSecondMax, TcpReplyBurst = Math.Max(repliesPerSecondMax / 10, 1),
        });
        var local = new Endpoint(BenchPair.ServerAddress, Port);
        if (_pair.Server.Tcp.Listen(new TcpListenOptions(local, 512), out _listener) != SocketError.Success) throw new InvalidOperationException("listen");
        _pair.Engine.OnTurn = Accept;
        // The neighbours learn of each other.
        _pair.Client.Tcp.Connect(new TcpConnectOptions(local), _pair.Now, out var first);
        for (var i = 0; i < 8; i++) Step();
        _pair.Client.Tcp.Close(first, _pair.Now);
        for (var i = 0; i < 8; i++) Step();
    }

    /// <summary>Runs both and prints a line each.</summary>
    internal static void Run()
    {
        foreach (var replies in new[] { new StackOptions().TcpRepliesPerSecond, 1_000_000 })
        {
            using var bench = new ConnectBench(replies);
            var connection = bench.Connections(10_000);
            var (syn, cookies) = bench.Syns(20_000);
            Console.WriteLine(FormattableString.Invariant($"  at most {replies:N0} replies a second"));
            Console.WriteLine(FormattableString.Invariant($"    a connection with a request and its answer: {connection:F0} ns of the server, {1e9 / connection:N0} a second and core"));
            Console.WriteLine(FormattableString.Invariant($"    a SYN of a flood, {100 * cookies:F0} % answered by cookies: {syn:F0} ns; at 1,000,000 a second {100 - (syn / 10):F0} % of the core are left"));
        }
    }

    public void Dispose() => _pair.Dispose();

    private double Connections(int batches)
    {
        for (var i = 0; i < 2_000; i++) Batch();
        var times = new TurnTimes();
        times.Clear(batches);
        _served = 0;
        for (var i = 0; i < batches; i++) times.Add(Batch());
        // Every one of them was served and is gone.
        if (_served != batches * BenchPair.Burst || _pair.Server.Tcp.ConnectionCount != 0) throw new InvalidOperationException($"{_served} served, {_pair.Server.Tcp.ConnectionCount} left");
        return times.At(0.1) / BenchPair.Burst;
    }

    // Connect, send, take the answer, close, all of a burst at once.
    private long Batch()
    {
        var remote = new Endpoint(BenchPair.ServerAddress, Port);
        for (var i = 0; i < _open.Length; i++)
        {
            if (_pair.Client.Tcp.Connect(new TcpConnectOptions(remote), _pair.Now, out _open[i]) != SocketError.Success) throw new InvalidOperationException("connect");
        }
        var ticks = Step();
        foreach (var handle in _open) _pair.Client.Tcp.Send(handle, _request, _pair.Now);
        ticks += Step();
        foreach (var handle in _open)
        {
            if (_pair.Client.Tcp.Receive(handle, _received, _pair.Now) != 1) throw new InvalidOperationException("no answer");
            _pair.Client.Tcp.Close(handle, _pair.Now);
        }
        return ticks + Step() + Step();
    }

    private long Step()
    {
        _pair.Now += new Duration(20_000);
        _pair.Client.FireTimers(_pair.Now);
        var ticks = _pair.Exchange();
        while (_pair.Client.Tcp.TryNextEvent(out _))
        {
        }
        return ticks;
    }

    private void Accept()
    {
        while (_pair.Server.Tcp.TryAccept(_listener, out var handle)) new TcpConnection(_pair.Engine, handle).SetHandler(new Answering(this));
    }

    private (double Time, double Cookies) Syns(int turns)
    {
        var random = new StackRandom(3);
        var times = new TurnTimes();
        times.Clear(turns);
        var frames = new Frame[BenchPair.Burst];
        var before = _pair.Server.Tcp.Counters.SynCookiesSent;
        for (var turn = -2_000; turn < turns; turn++)
        {
            _pair.Now += new Duration(32_000);
            for (var i = 0; i < frames.Length; i++) frames[i] = Syn(random);
            var ticks = _pair.Turn(frames);
            if (turn >= 0) times.Add(ticks);
        }
        return (times.At(0.1) / BenchPair.Burst, (_pair.Server.Tcp.Counters.SynCookiesSent - before) / ((turns + 2_000.0) * BenchPair.Burst));
    }

    private Frame Syn(StackRandom random)
    {
        var (source, server) = (IpAddress.FromIPv4(10, 0, 0, 2), BenchPair.ServerAddress);
        if (!_pair.Server.Frames.TryRent(out var frame, 66)) throw new InvalidOperationException("no frame");
        var options = default(TcpOptions);
        options.Mss = 1_460;
        options.SackPermitted = true;
        options.WindowScale = new WindowScale(7);
        options.SetTimestamps(random.Next(uint.MaxValue), 0);
        var segment = new TcpSegment { Seq = new SeqNumber(random.Next(uint.MaxValue)), Flags = TcpFlags.Syn, Window = new UnscaledWindow(64_000), Options = options };
        frame.HeadLength = (ushort)(EthernetHeader.Length + IPv4Header.Length + TcpHeader.Length + options.EncodedLength);
        frame.Length = frame.HeadLength;
        var bytes = _pair.Server.Frames.Head(frame);
        EthernetHeader.Write(bytes, new MacAddress(0x0200_0000_0001), new MacAddress(0x0200_0000_0002), EtherType.IPv4);
        IPv4Header.Write(bytes[EthernetHeader.Length..], source, server, IpProtocol.Tcp, TcpHeader.Length + options.EncodedLength);
        var tcp = bytes[(EthernetHeader.Length + IPv4Header.Length)..];
        TcpHeader.Write(tcp, (ushort)(1_024 + random.Next(60_000)), Port, segment);
        InternetChecksum.Store(
            tcp[TcpHeader.ChecksumOffset..],
            InternetChecksum.Sum(tcp, InternetChecksum.PseudoHeader(source, server, IpProtocol.Tcp, tcp.Length)));
        return frame;
    }

    private sealed class Answering(ConnectBench bench) : ITcpHandler
    {
        public void OnReceived(TcpConnection connection, ReadOnlySpan<byte> bytes) => connection.TrySend(bench._request);

        public void OnPeerClosed(TcpConnection connection)
        {
            bench._served++;
            connection.Dispose();
        }
    }
}
