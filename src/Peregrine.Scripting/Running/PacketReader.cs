// Packets that the stack sent, in the words of scripts, and the comparison with what a script expects: field by field, and the difference as
// two lines that can be read.
using System.Buffers.Binary;
using Peregrine.Scripting.Language;
using Peregrine.Wire;

namespace Peregrine.Scripting.Running;

/// <summary>A TCP segment that was sent, in the script's numbers.</summary>
internal sealed record SeenSegment(int Flags, uint Seq, uint RawSeq, int Length, uint Ack, uint RawAck, int Window, int Urgent, List<string> Options)
{
    internal string Format(IpMarks ip)
    {
        var text = (ip == IpMarks.None ? "" : Describe(ip) + " ") + $"{FlagText.Format(Flags)} {Seq}:{unchecked(Seq + (uint)Length)}({Length})";
        if ((Flags & 16) != 0) text += $" ack {Ack}";
        text += $" win {Window}";
        if ((Flags & 32) != 0) text += $" urg {Urgent}";
        return Options.Count == 0 ? text : text + $" <{string.Join(',', Options)}>";
    }

    private static string Describe(IpMarks ip)
    {
        var parts = new List<string>();
        if (ip.Ecn is { } ecn) parts.Add(ecn switch { 0 => "noecn", 1 => "ect1", 2 => "ect0", 3 => "ce", _ => "ect01" });
        if (ip.TrafficClass is { } traffic) parts.Add($"tos 0x{traffic:x}");
        if (ip.Dscp is { } dscp) parts.Add($"dscp 0x{dscp:x}");
        if (ip.HopLimit is { } hops) parts.Add($"ttl {hops}");
        return $"[{string.Join(", ", parts)}]";
    }
}

internal static class PacketReader
{
    internal static SeenSegment Read(SentPacket packet, Flow flow)
    {
        var tcp = packet.Payload;
        var header = (tcp[12] >> 4) * 4;
        var flags = tcp[13] | ((tcp[12] & 1) << 8);
        var seq = BinaryPrimitives.ReadUInt32BigEndian(tcp[4..]);
        var ack = BinaryPrimitives.ReadUInt32BigEndian(tcp[8..]);
        var isSyn = (flags & 2) != 0;
        var shift = new OptionShift(flow.RemoteBase, static v => v, static v => v);
        return new SeenSegment(
            flags, seq - flow.LocalBase + (isSyn ? flow.LocalScriptIsn : 0), seq, tcp.Length - header, (flags & 16) != 0 ? ack - flow.RemoteBase : 0, ack,
            BinaryPrimitives.ReadUInt16BigEndian(tcp[14..]), BinaryPrimitives.ReadUInt16BigEndian(tcp[18..]), OptionText.Decode(tcp[20..header], shift));
    }

    /// <summary>What differs, in words; null when nothing does.</summary>
    internal static string? Compare(TcpPacketText expected, SeenSegment seen, SentPacket packet, Flow flow, ScriptSetup setup, bool isMerged)
    {
        var flags = FlagText.Parse(expected.Flags);
        // Where a system pushes inside a run of segments is no part of the protocol (RFC 9293 §3.9.1.2): only single ones are compared.
        var compared = isMerged ? ~8 : ~0;
        if ((flags & compared) != (seen.Flags & compared)) return "flags";
        if (!expected.IsAnySeq && (expected.IsAbsolute ? seen.RawSeq : seen.Seq) != (uint)expected.Seq) return "sequence number";
        if (seen.Length != expected.Length) return "length";
        // A reset's acknowledgment answers the script's own number, whatever the connection's are.
        // A SYN-ACK acknowledges the SYN's number as the script wrote it; what follows is counted from there.
        var isSynAck = (seen.Flags & 0x12) == 0x12;
        if (expected.Ack is { } ack && (isSynAck ? seen.RawAck : seen.Ack) != (uint)ack) return "acknowledgment";
        if (expected.Window is { } window && seen.Window != window) return "window";
        if (expected.Urgent is { } urgent && seen.Urgent != urgent) return "urgent pointer";
        if (expected.PspSpi != packet.PspSpi) return "PSP";
        if (expected.Encapsulation != packet.Tunnel) return "UDP encapsulation";
        if (CompareIp(expected.Ip, packet) is { } difference) return difference;
        return expected.Options is { } options && !SameOptions(options, seen.Options, packet, flow, setup) ? "options" : null;
    }

    internal static string? CompareIp(IpMarks expected, SentPacket packet)
    {
        if (expected.Ecn is { } ecn && (ecn == -1 ? (packet.TrafficClass & 3) is not (1 or 2) : (packet.TrafficClass & 3) != ecn)) return "ECN bits";
        // Where the ECN bits are said apart, the class is the rest.
        var mask = expected.Ecn is null ? 0xFF : 0xFC;
        if (expected.TrafficClass is { } traffic && (packet.TrafficClass & mask) != (traffic & mask)) return "traffic class";
        if (expected.Dscp is { } dscp && packet.TrafficClass >> 2 != dscp) return "code point";
        if (expected.FlowLabel is { } label && (packet.IsV4 || packet.FlowLabel != label)) return "flow label";
        return expected.HopLimit is { } hops && packet.HopLimit != hops ? "hop limit" : null;
    }

    private static bool SameOptions(IReadOnlyList<string> expected, List<string> seen, SentPacket packet, Flow flow, ScriptSetup setup)
    {
        if (expected is [['0', 'x' or 'X', .. var blob]]) return string.Equals(blob, Convert.ToHexString(OptionBytes(packet)), StringComparison.OrdinalIgnoreCase);
        if (expected.Count != seen.Count) return false;
        for (var i = 0; i < seen.Count; i++)
        {
            if (string.Equals(expected[i], seen[i], StringComparison.OrdinalIgnoreCase)) continue;
            if (expected[i] == Signatures.Valid && seen[i].StartsWith("md5 ", StringComparison.Ordinal) && Signatures.IsGood(setup, packet.Payload)) continue;
            if (!expected[i].StartsWith("TS val", StringComparison.Ordinal) || !SameStamp(expected[i], seen[i], flow, setup)) return false;
        }
        return true;
    }

    private static ReadOnlySpan<byte> OptionBytes(SentPacket packet) => packet.Payload[20..((packet.Payload[12] >> 4) * 4)];

    // A script's timestamps are its own numbers: each is learned where it is first seen, and only with a tick's length are they compared.
    private static bool SameStamp(string expected, string seen, Flow flow, ScriptSetup setup)
    {
        var want = expected.Split(' ');
        var have = seen.Split(' ');
        if (want.Length != 5 || have.Length != 5 || have[0] != "TS") return false;
        if (IsOpen(want[2]) || IsOpen(want[4])) return (IsOpen(want[2]) || SameStamp($"TS val {want[2]} ecr {have[4]}", seen, flow, setup)) && (IsOpen(want[4]) || want[4] == have[4]);
        if (!uint.TryParse(want[2], out var val) || !uint.TryParse(want[4], out var ecr)) throw new NotApplicableException($"the TCP option '{expected}' is not understood");
        var live = uint.Parse(have[2]);
        if (want[4] != have[4] && ecr != 0) return false;
        if (setup.StampTickMicroseconds is { } tick && flow.HasStamps)
        {
            var tolerance = Math.Max(1, setup.ToleranceMicroseconds / Math.Max(1, tick));
            if (Math.Abs((int)(flow.LiveStamp(val) - live)) > tolerance) return false;
        }
        flow.LearnStamp(val, live);
        return true;
    }

    private static bool IsOpen(string number) => number is "*" or "..." or "?";

    /// <summary>A packet of any protocol, shortly.</summary>
    internal static string Describe(SentPacket packet, Flow? flow)
    {
        if (packet.IsTcp) return (packet.PspSpi == 0 ? "" : $"encap psp spi {packet.PspSpi} ") + Read(packet, flow ?? new Flow(0, 0)).Format(IpMarks.None);
        return packet.Protocol == IpProtocol.Udp ? $"udp ({packet.Payload.Length - 8})" : $"protocol {packet.Protocol}, {packet.Payload.Length} bytes: type {packet.Payload[0]} code {packet.Payload[1]}";
    }
}
