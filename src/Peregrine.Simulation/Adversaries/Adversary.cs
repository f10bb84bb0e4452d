// A host that sends what no stack would. It sits at a switch that shows it everything, speaks for anybody, and has connections of its own on
// which it keeps no rule. What it may not do is guess right on purpose: a reset exactly in place would end a connection, and rightly so.
using Peregrine.Core.Time;
using Peregrine.Simulation.Hosts;
using Peregrine.Simulation.Judges;
using Peregrine.Simulation.Nodes;
using Peregrine.Simulation.Traffic;
using Peregrine.Wire;

namespace Peregrine.Simulation.Adversaries;

/// <summary>Somebody hostile at a switch.</summary>
internal sealed class Adversary : SimulatedNode
{
    // Whatever is chosen blindly lies at least so far from the numbers in use; less would be a lucky guess.
    private const int FarMin = 1 << 24;

    // Of the protocols that nobody speaks (RFC 3692).
    private const byte UnknownProtocol = 253;

    private const ushort ClosedPort = 81;

    private readonly SimulationRandom _random, _asking;
    private readonly List<SimulatedHost> _victims;
    private readonly List<RoguePeer> _rogues = [];
    private readonly HashSet<(IpAddress From, ushort FromPort, IpAddress To, ushort ToPort, SeqNumber Seq)> _enders = [];
    private readonly byte[] _junk = new byte[1_500];
    private Sighting _seen;
    private bool _hasSeen;

    private struct Sighting
    {
        public MacAddress FromMac, ToMac;
        public IpAddress From, To;
        public ushort FromPort, ToPort;
        public SeqNumber Seq, Ack;
    }

    public Adversary(SimulatedWorld world, IEnumerable<SimulatedHost> victims)
        : base(world, "x")
    {
        _random = new SimulationRandom(world.Seed, 30);
        _asking = new SimulationRandom(world.Seed, 31);
        _victims = [.. victims];
        for (var i = 0; i < _junk.Length; i++) _junk[i] = (byte)_random.NextUInt64();
    }

    public IpAddress Address { get; } = IpAddress.FromIPv4(10, 0, 0, 200);

    public MacAddress Mac { get; } = new(0x0200_00EE_0001);

    public bool IsQuiet { get; private set; }

    internal SimulationRandom Random => _random;

    internal ReadOnlySpan<byte> Junk => _junk;

    /// <summary>Does something hostile now and then, until it is told to be quiet.</summary>
    public void Start(TrafficState traffic) => World.After(Duration.FromMicroseconds(_random.Next(20_000)), () =>
    {
        if (IsQuiet) return;
        Act(traffic);
        Start(traffic);
    });

    /// <summary>Asks for many answers at a time now and then, until it is told to be quiet: resets or ICMP errors, more than a limiter lets go.</summary>
    public void StartAsking() => World.After(Duration.FromMicroseconds(_asking.Next(2_000_000)), () =>
    {
        if (IsQuiet) return;
        Ask();
        StartAsking();
    });

    public void Stop()
    {
        IsQuiet = true;
        foreach (var rogue in _rogues) rogue.Stop();
    }

    /// <summary>Whether a reset or SYN is one that it has sent in another's name.</summary>
    public bool HasForged(in SegmentView view) => _enders.Contains((view.Source, view.SourcePort, view.Destination, view.DestinationPort, view.Seq));

    internal void Send(FrameBuffer frame) => Port(0).Send(frame, World.Now);

    internal override void OnFrame(int port, FrameBuffer frame, Instant now)
    {
        var bytes = frame.Span;
        if (SegmentView.TryRead(bytes, out var view)) See(bytes, view, now);
        else if (!IsQuiet) AnswerArp(bytes);
        World.Buffers.Return(frame);
    }

    private void See(ReadOnlySpan<byte> bytes, in SegmentView view, Instant now)
    {
        if (!view.IsTcp) return;
        if (view.IsV4 && view.Destination == Address)
        {
            foreach (var rogue in _rogues)
            {
                if (!IsQuiet && rogue.LocalPort == view.DestinationPort) rogue.OnSegment(view, now);
            }
            return;
        }
        if (view.Source == Address) return;
        _hasSeen = true;
        _seen = new Sighting
        {
            FromMac = MacAddress.Read(bytes[6..]), ToMac = MacAddress.Read(bytes), From = view.Source, To = view.Destination,
            FromPort = view.SourcePort, ToPort = view.DestinationPort, Seq = view.Seq + (uint)view.DataLength, Ack = view.Ack,
        };
    }

    private void AnswerArp(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length < EthernetHeader.Length || !ArpPacket.TryParse(bytes[EthernetHeader.Length..], out var request)) return;
        if (request.Operation != ArpOperation.Request || request.TargetAddress != Address) return;
        var answer = World.Buffers.Rent(EthernetHeader.Length + ArpHeader.Length);
        EthernetHeader.Write(answer.Span, request.SenderMac, Mac, EtherType.Arp);
        new ArpPacket
        {
            Operation = ArpOperation.Reply, SenderMac = Mac, SenderAddress = Address, TargetMac = request.SenderMac, TargetAddress = request.SenderAddress,
        }.WriteTo(answer.Span[EthernetHeader.Length..]);
        Send(answer);
    }

    private void Act(TrafficState traffic)
    {
        switch (_random.Next(10))
        {
            case 0 or 1:
                Blind(TcpFlags.Rst);
                break;
            case 2:
                Blind(_random.Pick(TcpFlags.Syn, TcpFlags.Syn | TcpFlags.Ack, TcpFlags.Fin | TcpFlags.Ack, TcpFlags.Rst | TcpFlags.Ack, TcpFlags.None));
                break;
            case 3:
                Blind(TcpFlags.Ack | TcpFlags.Psh);
                break;
            case 4:
                Flood();
                break;
            case 5:
                LieByIcmp();
                break;
            case 6:
                Fragments();
                break;
            case 7:
                Garbage();
                break;
            default:
                OpenRogue(traffic);
                break;
        }
    }

    // RFC 5961: resets, SYNs and data from somebody who knows the ports and not the numbers.
    private void Blind(TcpFlags flags)
    {
        if (!_hasSeen) return;
        var isBack = _random.Percent(50);
        var s = _seen;
        var segment = new TcpSegment
        {
            Seq = (isBack ? s.Ack : s.Seq) + Far(), Ack = (isBack ? s.Seq : s.Ack) + Far(), Flags = flags, Window = new UnscaledWindow((ushort)_random.NextUInt64()),
        };
        var payload = (flags & TcpFlags.Psh) != 0 ? _junk.AsSpan(0, 1 + _random.Next(1_000)) : default;
        if (isBack) s = new Sighting { From = s.To, FromPort = s.ToPort, To = s.From, ToPort = s.FromPort, ToMac = s.FromMac };
        if ((flags & (TcpFlags.Rst | TcpFlags.Syn)) != 0) _enders.Add((s.From, s.FromPort, s.To, s.ToPort, segment.Seq));
        Send(PacketForge.Tcp(World.Buffers, Mac, s.ToMac, s.From, s.FromPort, s.To, s.ToPort, segment, payload));
    }

    // A distance that is far in both directions.
    private uint Far() => (uint)(FarMin + _random.Next(int.MaxValue - (2 * FarMin))) * (_random.Percent(50) ? 1u : uint.MaxValue);

    // RFC 4987: SYNs from addresses that nobody has.
    private void Flood()
    {
        var victim = Victim();
        for (var i = _random.Next(60); i >= 0; i--)
        {
            var segment = new TcpSegment { Seq = new SeqNumber((uint)_random.NextUInt64()), Flags = TcpFlags.Syn, Window = new UnscaledWindow(1_000) };
            segment = segment with { Options = Mss((ushort)_random.Pick(0, 1, 536, 1_460, 65_535)) };
            Send(PacketForge.Tcp(
                World.Buffers, Mac, victim.Mac, IpAddress.FromIPv4(10, 0, 0, (byte)(210 + _random.Next(20))), (ushort)_random.Between(1_024, 65_535), victim.AddressV4,
                HostTraffic.Port, segment, default));
        }
    }

    private void Ask()
    {
        var victim = _victims[_asking.Next(_victims.Count)];
        var forResets = _asking.Percent(50);
        for (var i = _asking.Between(60, 200); i > 0; i--)
        {
            if (forResets)
            {
                var segment = new TcpSegment { Seq = new SeqNumber((uint)_asking.NextUInt64()), Ack = new SeqNumber((uint)_asking.NextUInt64() | 1), Flags = TcpFlags.Ack };
                Send(PacketForge.Tcp(World.Buffers, Mac, victim.Mac, Address, (ushort)i, victim.AddressV4, ClosedPort, segment, default));
                continue;
            }
            var frame = PacketForge.Ip(World.Buffers, Mac, victim.Mac, Address, victim.AddressV4, UnknownProtocol, 8, out var offset);
            _junk.AsSpan(0, 8).CopyTo(frame.Span[offset..]);
            Send(frame);
        }
    }

    private static TcpOptions Mss(ushort mss)
    {
        var options = default(TcpOptions);
        if (mss > 0) options.Mss = mss;
        return options;
    }

    // RFC 5927: errors about segments that were never sent, and path MTUs that no link has.
    private void LieByIcmp()
    {
        if (!_hasSeen || !_seen.From.IsIPv4) return;
        var s = _seen;
        // Type and code in one number: unreachable (host, port, fragmentation needed, prohibited), source quench, time exceeded, parameter problem.
        var error = _random.Pick(0x0301, 0x0303, 0x0304, 0x030D, 0x0400, 0x0B00, 0x0C00);
        Send(PacketForge.IcmpError(
            World.Buffers, Mac, s.FromMac, s.To, (byte)(error >> 8), (byte)error, (ushort)_random.Pick(0, 68, 200, 600, 1_400, 9_000), s.From, s.FromPort, s.To, s.ToPort, s.Seq + Far()));
    }

    private void Fragments()
    {
        var victim = Victim();
        var number = (ushort)_random.NextUInt64();
        for (var i = _random.Next(4); i >= 0; i--)
        {
            var length = 8 * (1 + _random.Next(20));
            var isLast = _random.Percent(30);
            var frame = PacketForge.Ip(
                World.Buffers, Mac, victim.Mac, Address, victim.AddressV4, _random.Pick(IpProtocol.Tcp, IpProtocol.Udp), length, out var offset,
                isLast ? 0 : IPv4Flags.MoreFragments, 8 * _random.Pick(0, 1, 5, 10, 8_000), number);
            _junk.AsSpan(0, length).CopyTo(frame.Span[offset..]);
            Send(frame);
        }
    }

    private void Garbage()
    {
        var victim = Victim();
        var length = 1 + _random.Next(200);
        var protocol = _random.Pick(IpProtocol.Tcp, IpProtocol.Udp, IpProtocol.Icmpv4, IpProtocol.Igmp, (byte)_random.NextUInt64());
        var frame = PacketForge.Ip(World.Buffers, Mac, victim.Mac, Address, victim.AddressV4, protocol, length, out var offset);
        for (var i = offset; i < frame.Length; i++) frame.Span[i] = (byte)_random.NextUInt64();
        if (_random.Percent(30)) frame.Shorten(EthernetHeader.Length + _random.Next(40));
        Send(frame);
    }

    private void OpenRogue(TrafficState traffic)
    {
        if (_rogues.Count >= 24) return;
        var victim = Victim();
        var flow = traffic.AddRogue(victim, _random.Size(60_000));
        var rogue = new RoguePeer(this, victim, (ushort)(20_000 + _rogues.Count), flow.Id, traffic.HeaderOf(flow.Id).ToArray());
        _rogues.Add(rogue);
        rogue.Open();
    }

    // Only those on the same network know its Ethernet address.
    private SimulatedHost Victim() => _victims[_random.Next(_victims.Count)];
}
