// The script's side of the wire: which connection a packet belongs to, what comes in, and what is expected to go out. Numbers in scripts
// count from initial sequence numbers, which are learned here as they are seen.
using System.Buffers.Binary;
using Peregrine.Scripting.Language;
using Peregrine.Wire;

namespace Peregrine.Scripting.Running;

internal sealed class ScriptWire
{
    private const ushort FirstRemotePort = 50_001;

    private readonly IScriptWorld _world;
    private readonly IScriptSystem _system;
    private readonly Action<string>? _trace;
    private readonly List<Flow> _flows = [];
    private readonly Dictionary<(int Local, int Remote), Flow> _named = [];
    private ushort _nextRemotePort = FirstRemotePort;
    private Flow? _current;

    internal ScriptWire(IScriptWorld world, IScriptSystem system, Action<string>? trace)
    {
        (_world, _system, _trace) = (world, system, trace);
        world.OnSent = Note;
    }

    private void Note(SentPacket packet)
    {
        Learn(packet);
        _trace?.Invoke($"{ScriptRunner.Clock(packet.AtMicroseconds)} > {PacketReader.Describe(packet, packet.IsTcp ? FlowOf(packet) : null)}");
    }

    // Learns of connections that our stack opens, and of its initial sequence numbers.
    private void Learn(SentPacket packet)
    {
        if (!packet.IsTcp)
        {
            if (packet.Protocol == IpProtocol.Udp && packet.Payload.Length >= 8) NoteUdp(packet);
            return;
        }
        var tcp = packet.Payload;
        var flags = tcp[13];
        var flow = FlowOf(packet);
        var isSyn = (flags & 2) != 0;
        if (flow is null && isSyn && (flags & 16) == 0)
        {
            flow = new Flow(Local(tcp), Remote(tcp));
            _flows.Add(flow);
            _current = flow;
        }
        if (flow is null) return;
        var seq = BinaryPrimitives.ReadUInt32BigEndian(tcp[4..]);
        if (isSyn && flow.LocalIsn is null) flow.LocalIsn = seq;
        if (isSyn || tcp.Length > (tcp[12] >> 4) * 4 || (flags & 1) != 0) flow.LastSeq = seq;
    }

    private void NoteUdp(SentPacket packet)
    {
        var udp = packet.Payload;
        if (_current is not null && _current.LocalPort == Local(udp)) return;
        _current = new Flow(Local(udp), Remote(udp));
        _flows.Add(_current);
    }

    private static ushort Local(ReadOnlySpan<byte> transport) => BinaryPrimitives.ReadUInt16BigEndian(transport);

    private static ushort Remote(ReadOnlySpan<byte> transport) => BinaryPrimitives.ReadUInt16BigEndian(transport[2..]);

    private Flow? FlowOf(SentPacket packet)
    {
        var (local, remote) = (Local(packet.Payload), Remote(packet.Payload));
        return _flows.LastOrDefault(f => f.LocalPort == local && f.RemotePort == remote);
    }

    /// <summary>Sends a packet of the script's.</summary>
    internal void Send(PacketEvent e)
    {
        _trace?.Invoke($"{ScriptRunner.Clock(_world.Microseconds)} < {Describe(e.Packet)}");
        switch (e.Packet)
        {
            case TcpPacketText tcp:
                SendTcp(tcp);
                break;
            case UdpPacketText udp:
                Choose(udp.Ports, isInbound: true);
                _world.Deliver(PacketWriter.Udp(_world.Setup, _current ?? Stranger(), udp));
                break;
            case IcmpPacketText icmp:
                _world.Deliver(PacketWriter.Icmp(_world.Setup, _current ?? Stranger(), icmp));
                break;
        }
    }

    // A packet to nobody: before any connection there is.
    private Flow Stranger()
    {
        _current = new Flow(_system.LastBoundPort ?? ScriptCalls.BoundPort, _nextRemotePort++);
        _flows.Add(_current);
        return _current;
    }

    // Ports name a connection for as long as the script lasts: they are its own numbers, and those on the wire are learned.
    private bool Choose((int From, int To)? ports, bool isInbound)
    {
        if (ports is not { } said) return true;
        var key = isInbound ? (said.To, said.From) : (said.From, said.To);
        if (!_named.TryGetValue(key, out var flow)) return false;
        _current = flow;
        return true;
    }

    private void Name((int From, int To)? ports, bool isInbound, Flow flow)
    {
        if (ports is { } said) _named.TryAdd(isInbound ? (said.To, said.From) : (said.From, said.To), flow);
    }

    private void SendTcp(TcpPacketText text)
    {
        var isKnown = Choose(text.Ports, isInbound: true);
        var isSyn = text.Flags.Contains('S', StringComparison.Ordinal);
        var isOpening = isSyn && text.Ack is null && !text.Flags.Contains('R', StringComparison.Ordinal) && !text.Flags.Contains('F', StringComparison.Ordinal);
        var flow = isOpening && (!isKnown || StartsAnew()) ? Passive() : _current ?? Stranger();
        Name(text.Ports, isInbound: true, flow);
        // A SYN to a port where nobody listens begins nothing: what answers it is in its own numbers. Another try at the answer to our SYN
        // has its own too; once there is a connection, a SYN is one more segment of it.
        var mayBegin = isSyn && (_world.HasListener || flow.LocalIsn is not null);
        if (mayBegin && (flow.RemoteIsn is null || !HasBegun(flow))) flow.RemoteIsn = (uint)text.Seq;
        if (!isSyn && text.Ack is not null) flow.HandshakeOver = true;
        var packet = PacketWriter.Tcp(_world.Setup, flow, text);
        if (text.PspSpi != 0) packet = (_world.Setup.Psp ?? throw new ScriptFailedException("PSP is off: --psp_udp_port is missing")).Seal(packet, text.PspSpi);
        _world.Deliver(packet);
    }

    private bool StartsAnew()
    {
        if (!_world.HasListener) return _current is null;
        if (_current is not null && _current.HandshakeOver && _current.ListenCount != _system.ListenCount) return true;
        if (_current is null || _current.HandshakeOver) return _current is null || !IsOpen(_current);
        if (_current.IsPassive) return _current.LocalIsn is not null && _world.HalfOpenCount == 0 && !IsOpen(_current);
        return _current.LocalIsn is null;
    }

    private bool HasBegun(Flow flow) =>
        flow.HandshakeOver || (_world.StateOf(flow) is { } state ? state != Core.Tcp.TcpState.SynSent : _world.HalfOpenCount + _world.TimeWaitCount > 0);

    // Whether somebody may still expect this connection's segments.
    private bool IsOpen(Flow flow) => _world.StateOf(flow) is not null || _world.TimeWaitCount > 0;

    private Flow Passive()
    {
        _current = new Flow(_system.LastBoundPort ?? ScriptCalls.BoundPort, _nextRemotePort++) { IsPassive = true, ListenCount = _system.ListenCount };
        _flows.Add(_current);
        return _current;
    }

    /// <summary>Waits for a packet and compares it.</summary>
    /// <returns>When it was sent, in microseconds.</returns>
    internal long Expect(PacketEvent e, long earliest, long latest)
    {
        var ports = (e.Packet as TcpPacketText)?.Ports ?? (e.Packet as UdpPacketText)?.Ports;
        Choose(ports, isInbound: false);
        var tolerance = _world.Setup.ToleranceMicroseconds;
        var end = latest == long.MaxValue ? _world.Microseconds + _world.AnyTimeMicroseconds : latest + tolerance;
        SkipOthers(e.Packet);
        if (_world.Sent.Count == 0) _world.AdvanceTo(end, () => SkipOthers(e.Packet));
        if (_world.Sent.Count == 0)
            throw new ScriptFailedException($"nothing was sent until {ScriptRunner.Seconds(_world.Microseconds)}\n      expected {Describe(e.Packet)}");
        var packet = _world.Sent.Dequeue();
        if (packet.IsTcp && FlowOf(packet) is { } spoken) Name(ports, isInbound: false, spoken);
        if (packet.AtMicroseconds < earliest - tolerance || packet.AtMicroseconds > end) throw Mismatch("time", e, packet, earliest);
        if (e.Packet is TcpPacketText tcp) ExpectTcp(e, tcp, packet, earliest);
        else ExpectOther(e, packet, earliest);
        // A script's time never runs behind the packet that it has seen.
        if (latest != long.MaxValue) _world.AdvanceTo(Math.Max(_world.Microseconds, Math.Min(earliest, latest)));
        return packet.AtMicroseconds;
    }

    // Only what the connection sends that the script is about counts: what others have to say to their ends is passed over.
    private bool SkipOthers(ScriptPacket expected)
    {
        while (_world.Sent.TryPeek(out var packet) && expected is TcpPacketText && _current is not null && !(packet.IsTcp && FlowOf(packet) == _current)) _world.Sent.Dequeue();
        return _world.Sent.Count > 0;
    }

    private void ExpectOther(PacketEvent e, SentPacket packet, long earliest)
    {
        if (e.Packet is UdpPacketText udp)
        {
            if (packet.Protocol != IpProtocol.Udp || packet.Payload.Length - 8 != udp.Length) throw Mismatch("packet", e, packet, earliest);
        }
        else if (e.Packet is IcmpPacketText icmp)
        {
            var (type, code) = IcmpText.NumbersOf(icmp, packet.IsV4);
            if (packet.Protocol != (packet.IsV4 ? 1 : 58) || packet.Payload[0] != type || packet.Payload[1] != code) throw Mismatch("packet", e, packet, earliest);
            if (icmp.Id is { } id && BinaryPrimitives.ReadUInt16BigEndian(packet.Payload[4..]) != id) throw Mismatch("identifier", e, packet, earliest);
        }
        if (PacketReader.CompareIp(e.Packet.Ip, packet) is { } difference) throw Mismatch(difference, e, packet, earliest);
    }

    private void ExpectTcp(PacketEvent e, TcpPacketText expected, SentPacket packet, long earliest)
    {
        if (!packet.IsTcp) throw Mismatch("protocol", e, packet, earliest);
        var flow = FlowOf(packet) ?? new Flow(Local(packet.Payload), Remote(packet.Payload));
        if (expected.Flags.Contains('S', StringComparison.Ordinal)) flow.LocalScriptIsn = (uint)expected.Seq;
        // A connection that starts anew on the old one's ports has a new number.
        if (expected.IsAnySeq) flow.LocalIsn = BinaryPrimitives.ReadUInt32BigEndian(packet.Payload[4..]);
        var seen = PacketReader.Read(packet, flow);
        var isMerged = false;
        // A script may see several segments as one, as a card that cuts them would be given them.
        while (seen.Length < expected.Length && !_world.Setup.ComparesEachSegment && _world.Sent.TryPeek(out var next) && TryMerge(ref seen, next, flow, packet.AtMicroseconds))
        {
            _world.Sent.Dequeue();
            isMerged = true;
        }
        if (PacketReader.Compare(expected, seen, packet, flow, _world.Setup, isMerged) is { } difference) throw Mismatch(difference, e, packet, earliest, seen);
    }

    private bool TryMerge(ref SeenSegment seen, SentPacket next, Flow flow, long at)
    {
        if (!next.IsTcp || FlowOf(next) != flow || next.AtMicroseconds > at + _world.Setup.ToleranceMicroseconds) return false;
        var more = PacketReader.Read(next, flow);
        if (more.Length == 0 || more.Seq != seen.Seq + (uint)seen.Length || (more.Flags & 0x17) != (seen.Flags & 0x17) && (more.Flags & 1) == 0) return false;
        seen = seen with { Length = seen.Length + more.Length, Flags = seen.Flags | more.Flags };
        return true;
    }

    private ScriptFailedException Mismatch(string what, PacketEvent e, SentPacket packet, long expectedAt, SeenSegment? seen = null)
    {
        var actual = (packet.PspSpi == 0 ? seen?.Format(IpMarks.None) : null) ?? PacketReader.Describe(packet, packet.IsTcp ? FlowOf(packet) : null);
        return new ScriptFailedException(
            $"{what} differs\n      expected {Describe(e.Packet)} at {ScriptRunner.Seconds(expectedAt)}\n      seen     {actual} at {ScriptRunner.Seconds(packet.AtMicroseconds)}");
    }

    private static string Describe(ScriptPacket packet)
    {
        if (packet is not TcpPacketText tcp) return packet is IcmpPacketText icmp ? $"icmp {icmp.Type} {icmp.Code}" : packet is UdpPacketText udp ? $"udp ({udp.Length})" : "a packet";
        var text = $"{(tcp.PspSpi == 0 ? "" : $"encap psp spi {tcp.PspSpi} ")}{tcp.Flags} {tcp.Seq}:{tcp.Seq + tcp.Length}({tcp.Length})";
        if (tcp.Ack is { } ack) text += $" ack {ack}";
        if (tcp.Window is { } window) text += $" win {window}";
        return tcp.Options is null ? text + " <...>" : tcp.Options.Count == 0 ? text : text + $" <{string.Join(',', tcp.Options)}>";
    }
}
