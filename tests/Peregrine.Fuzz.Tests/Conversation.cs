// Two hosts, a hostile network between them, and applications that call whatever they like, all from one seed. Checkers run all the time;
// at the end everything is closed, the network becomes good, and after twenty minutes nothing may be held.
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Peregrine.Core;
using Peregrine.Core.Ip;
using Peregrine.Core.Links;
using Peregrine.Core.Tcp;
using Peregrine.Core.Time;
using Peregrine.Core.Udp;
using Peregrine.Scenarios.Tests.World;
using Peregrine.Wire;

namespace Peregrine.Fuzz.Tests;

internal sealed class Conversation : IDisposable
{
    private readonly List<byte[]> _burst = [];
    private readonly FuzzRandom _random;
    private readonly Mutator _mutator;
    private readonly Host[] _hosts;
    private readonly VirtualWire[] _wires;
    private readonly List<(int Host, TcpHandle Handle)> _handles = [];
    private readonly TcpListenerHandle[] _listeners = new TcpListenerHandle[2];
    private readonly byte[] _buffer = new byte[8_192];
    private readonly int _mutations;
    private readonly bool _isBulk;
    private bool _isHostile = true;
    private Instant _now = new(1_000_000_000);

    public Conversation(ulong seed)
    {
        _random = new FuzzRandom(seed);
        _mutator = new Mutator(_random);
        _mutations = _random.Pick(1, 5, 25);
        _isBulk = _random.Chance(50);
        _hosts = [Make("a", 1, seed * 2), Make("b", 2, (seed * 2) + 1)];
        _wires = [new VirtualWire(Faults(), seed * 3), new VirtualWire(Faults(), (seed * 3) + 1)];
        for (var i = 0; i < 2; i++) Listen(i);
    }

    /// <summary>A digest of everything that went over the wires.</summary>
    public ulong Digest { get; private set; } = 14695981039346656037;

    /// <summary>Adds both hosts' TCP counters, in the order of their declaration.</summary>
    public void AddCounters(Span<long> sums)
    {
        foreach (var host in _hosts)
        {
            var counters = MemoryMarshal.Cast<TcpCounters, long>(new ReadOnlySpan<TcpCounters>(in host.Tcp.Counters));
            for (var i = 0; i < counters.Length; i++) sums[i] += counters[i];
        }
    }

    public void Run()
    {
        var steps = 20 + _random.Next(80);
        for (var i = 0; i < steps; i++)
        {
            for (var acts = 1 + _random.Next(4); acts > 0; acts--) Act(_random.Next(2));
            if (_isBulk) SendAndReceiveMuch();
            if (_random.Chance(30)) Inject(_mutator.Forge());
            if (_random.Chance(8)) Inject(_mutator.Lie());
            Advance(Duration.FromMilliseconds(_random.Chance(5) ? _random.Size(100_000) : _random.Size(100)));
            Check();
        }
        Finish();
    }

    public void Dispose()
    {
        foreach (var host in _hosts) host.Dispose();
    }

    private Host Make(string name, byte number, ulong seed)
    {
        var settings = new TcpSettings
        {
            NoDelay = _random.Chance(30),
            KeepAlive = _random.Chance(20),
            KeepAliveTimeSeconds = 20,
            Timestamps = _random.Chance(70),
            SelectiveAcknowledgments = _random.Chance(70),
            WindowScaling = _random.Chance(70),
            CongestionControl = _random.Pick("cubic", "newreno", "bbr", "dctcp"),
            Ecn = (seed >> 1) % 4 == 0 ? TcpEcnMode.Accurate : (seed % 3) switch { 0 => TcpEcnMode.Accept, 1 => TcpEcnMode.On, _ => TcpEcnMode.Accurate },
            ReceiveBufferBytes = _random.Pick(2_048, 16_384, 65_536),
            ReceiveBufferBytesMax = 131_072,
            SendBufferBytes = _random.Pick(2_048, 16_384, 65_536),
            SendBufferBytesMax = 131_072,
            QuickAckCount = _random.Pick(0, 16),
            AcceptsMissingTimestamps = (seed >> 3) % 2 == 0,
            WindowProbeData = (seed >> 4) % 2 == 0,
            WindowValidation = (seed >> 5) % 2 == 0,
        };
        var options = new StackOptions
        {
            ConnectionCountMax = _random.Pick(4, 32, 32),
            TimeWaitCountMax = _random.Pick(2, 32),
            SynBacklogCountMax = _random.Pick(1, 16),
            ListenerCountMax = 4,
            FrameCount = _random.Pick(64, 256),
            FrameSizeBytes = 2_048,
            BlockCount = _random.Pick(64, 256),
            BlockSizeBytes = 1_024,
            TransmissionRecordCount = _random.Pick(64, 256),
            Tcp = settings,
            Ip = new IpOptions
            {
                NeighbourCountMax = 16, NeighbourQueueTotalMax = 16, RouteCountMax = 16, PathMtuCountMax = 16,
                ReassemblyCountMax = 8, FragmentCountMax = 32, OutputBurstMax = _random.Pick(64, 256),
            },
            Udp = new UdpOptions { SocketCountMax = 4 },
        };
        return new Host(name, number, options, seed, _now, LinkMedium.Ip);
    }

    private WireOptions Faults() => new()
    {
        Delay = Duration.FromMilliseconds(_random.Size(100)),
        Jitter = Duration.FromMilliseconds(_random.Chance(50) ? 0 : _random.Size(50)),
        LossPerMille = _random.Pick(0, 0, 20, 200),
        DuplicationPerMille = _random.Pick(0, 0, 50),
        CorruptionPerMille = _random.Pick(0, 0, 20),
    };

    private void Listen(int host)
    {
        var backlog = 1 + _random.Next(4);
        var address = _random.Chance(50) ? IpAddress.IPv6Any : IpAddress.IPv4Any;
        if (_hosts[host].Tcp.Listen(new TcpListenOptions(new Endpoint(address, 80), backlog), out var listener) == SocketError.Success) _listeners[host] = listener;
    }

    private void Act(int n)
    {
        var host = _hosts[n];
        var tcp = host.Tcp;
        var handle = _handles.Count == 0 ? default : _handles[_random.Next(_handles.Count)] is var (owner, h) && owner == n ? h : default;
        switch (_random.Next(20))
        {
            case 0 or 1 or 2:
                var to = _hosts[_random.Chance(90) ? 1 - n : n];
                var port = (ushort)(_random.Chance(90) ? 80 : 81);
                if (tcp.Connect(new TcpConnectOptions(new Endpoint(_random.Chance(50) ? to.Address : to.AddressV6, port), LocalPort(n)), _now, out var c) == SocketError.Success) _handles.Add((n, c));
                break;
            case 3 or 4 or 5:
                if (tcp.TryAccept(_listeners[n], out var accepted)) _handles.Add((n, accepted));
                break;
            case 6 or 7 or 8 or 9:
                tcp.Send(handle, _buffer.AsSpan(0, _random.Size(_buffer.Length)), _now);
                break;
            case 10 or 11 or 12:
                tcp.Receive(handle, _buffer.AsSpan(0, _random.Size(_buffer.Length)), _now);
                break;
            case 13:
                var room = tcp.ReserveSend(handle, 1 + _random.Next(1_024));
                if (!room.IsEmpty && _random.Chance(80)) tcp.CommitSend(handle, _random.Next(room.Length + 1), _now);
                break;
            case 14:
                tcp.Shutdown(handle, _now);
                break;
            case 15:
                tcp.SendUrgent(handle, _buffer.AsSpan(0, 1 + _random.Next(10)), _now);
                tcp.NotifyWhenDrained(handle);
                break;
            case 16:
                tcp.Close(handle, _now);
                break;
            case 17:
                if (_random.Chance(50)) tcp.Abort(handle, _now);
                else tcp.ShutdownReceive(handle);
                break;
            case 18:
                if (tcp.GetSettings(handle) is { } settings) tcp.SetSettings(handle, settings with { NoDelay = !settings.NoDelay, KeepAlive = !settings.KeepAlive }, _now);
                break;
            default:
                if (!_random.Chance(30)) break;
                tcp.CloseListener(_listeners[n], _now);
                Listen(n);
                break;
        }
    }

    // Few ports, so that connections follow each other with the same four numbers, often out of TIME-WAIT.
    private Endpoint LocalPort(int n) => _random.Chance(60) ? default : new Endpoint(IpAddress.IPv4Any, (ushort)(1_000 + (n * 10) + _random.Next(2)));

    private void SendAndReceiveMuch()
    {
        foreach (var (n, handle) in _handles)
        {
            _hosts[n].Tcp.Send(handle, _buffer, _now);
            if (_random.Chance(30)) _hosts[n].Tcp.Receive(handle, _buffer, _now);
        }
    }

    private void Inject(byte[]? packet)
    {
        if (packet is not null) Deliver(_random.Next(2), packet);
    }

    private void Advance(Duration time)
    {
        var end = _now + time;
        for (var steps = 0; ; steps++)
        {
            Assert.True(steps < 200_000, "the world does not come to rest");
            var busy = Receive(0, 1) | Receive(1, 0);
            busy |= _hosts[0].Turn(_now, _wires[0]) | _hosts[1].Turn(_now, _wires[1]);
            if (busy) continue;
            var next = Instant.Min(
                Instant.Min(_wires[0].NextArrival, _wires[1].NextArrival),
                Instant.Min(_hosts[0].Stack.NextDeadline(_now), _hosts[1].Stack.NextDeadline(_now)));
            if (next > end) break;
            _now = next > _now ? next : _now + new Duration(1_000);
        }
        _now = end;
    }

    private bool Receive(int wire, int host)
    {
        // What arrives at one moment comes in one burst, or each by itself.
        var inBursts = _random.Chance(50);
        _burst.Clear();
        var any = false;
        while (_wires[wire].TryReceive(_now, out var packet))
        {
            any = true;
            foreach (var b in packet) Digest = (Digest ^ b) * 1099511628211;
            _mutator.See(packet);
            if (_isHostile && _random.Chance(_mutations)) packet = _mutator.Mutate(packet);
            if (inBursts && packet.Length is > 0 and <= 1_500) _burst.Add(packet);
            else Deliver(host, packet);
        }
        if (_burst.Count > 0) DeliverBurst(_hosts[host]);
        return any;
    }

    private void DeliverBurst(Host host)
    {
        var before = TcpTerminals.Sum(host.Tcp.Counters);
        var delivered = host.Stack.Ip.Counters.ReceivedDelivered;
        host.Deliver(_burst, _now);
        if (_burst.TrueForAll(IsTcp)) Assert.Equal(host.Stack.Ip.Counters.ReceivedDelivered - delivered, TcpTerminals.Sum(host.Tcp.Counters) - before);
    }

    private static bool IsTcp(byte[] packet) => packet.Length > 40 && (packet[0] >> 4 == 4 ? packet[9] : packet[6]) == IpProtocol.Tcp;

    // Every segment that reaches TCP ends in exactly one terminal counter.
    private void Deliver(int n, byte[] packet)
    {
        if (packet.Length is 0 or > 1_500) return;
        var host = _hosts[n];
        var before = TcpTerminals.Sum(host.Tcp.Counters);
        var delivered = host.Stack.Ip.Counters.ReceivedDelivered;
        host.Deliver(packet, _now);
        if (IsTcp(packet)) Assert.Equal(host.Stack.Ip.Counters.ReceivedDelivered - delivered, TcpTerminals.Sum(host.Tcp.Counters) - before);
    }

    private void Check()
    {
        foreach (var host in _hosts)
        {
            for (var slot = 0; slot < host.Tcp.SlotCount; slot++)
            {
                if (!host.Tcp.TryGetHandle(slot, out _)) continue;
                ref var c = ref host.Tcp.Context.Tcbs.Get((uint)slot).C;
                Assert.True(c.Snd.Una.IsBeforeOrEqual(c.Snd.Nxt), $"{host.Name} {slot} {c.State}: Una {c.Snd.Una} is after Nxt {c.Snd.Nxt}");
                Assert.True(c.Snd.Nxt.IsBeforeOrEqual(c.Snd.Max), $"{host.Name} {slot} {c.State}: Nxt {c.Snd.Nxt} is after Max {c.Snd.Max}");
                Assert.True(c.Mss >= 48 && c.Cwnd > 0, $"{host.Name} {slot} {c.State}: Mss {c.Mss}, Cwnd {c.Cwnd}");
            }
        }
    }

    private void Finish()
    {
        _isHostile = false;
        _wires[0].Options = _wires[1].Options = new WireOptions();
        for (var i = 0; i < 2; i++) _hosts[i].Tcp.CloseListener(_listeners[i], _now);
        foreach (var (n, handle) in _handles) _hosts[n].Tcp.Close(handle, _now);
        Advance(Duration.FromSeconds(1_200));
        foreach (var host in _hosts)
        {
            Assert.Equal((0, 0, 0), (host.Tcp.TimeWaitCount, host.Tcp.SynBacklogCount, host.Tcp.ListenerCount));
            host.AssertNothingLeaked();
            Assert.Equal((0, 0), ((int)host.Tcp.Context.Demux.Count, (int)host.Tcp.Context.Wheel.Count));
        }
    }
}
