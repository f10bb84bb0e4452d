// What happens to packets on the way in a hostile network: bits flip (with checksums made good again, or not), ends are cut off, headers
// are rewritten, and segments and ICMP errors appear that nobody sent, built from what was seen last.
using System.Buffers.Binary;
using Peregrine.Scenarios.Tests.World;
using Peregrine.Wire;

namespace Peregrine.Fuzz.Tests;

internal sealed class Mutator(FuzzRandom random)
{
    private byte[] _last = [];

    /// <summary>Remembers a packet that was seen, for lies about it.</summary>
    public void See(byte[] packet)
    {
        if (RawTcp.TryRead(packet, out _, out _, out _, out _)) _last = packet;
    }

    public byte[] Mutate(byte[] packet)
    {
        var copy = (byte[])packet.Clone();
        var ip = HeaderLength(copy);
        switch (random.Next(7))
        {
            case 0:
                Flip(copy, 0, 1 + random.Next(8));
                return copy;
            case 1:
                Flip(copy, ip, 1 + random.Next(4));
                break;
            case 2:
                return copy[..random.Next(copy.Length + 1)];
            case 3:
                copy = Shorten(copy, ip + random.Next(copy.Length - ip + 1));
                break;
            case 4:
                if (copy.Length > ip + 13) copy[ip + 13] = (byte)random.Next64();
                break;
            case 5:
                if (copy.Length > ip + 20) Flip(copy, ip + 20, 3, Math.Min(40, copy.Length - ip - 20));
                break;
            default:
                Shift(copy, ip + (random.Chance(50) ? 4 : 8));
                break;
        }
        RawTcp.FixChecksum(copy);
        return copy;
    }

    /// <summary>A segment between the same two endpoints as one that was seen, with anything in it; null before anything was seen.</summary>
    public byte[]? Forge()
    {
        if (_last.Length == 0 || !RawTcp.TryRead(_last, out var from, out var to, out var seen, out _)) return null;
        var (source, destination) = Addresses(_last);
        // Either direction: a packet of the other one is a lie as good.
        var isReply = random.Chance(50);
        if (isReply) (source, destination, from, to) = (destination, source, to, from);
        var seq = isReply ? seen.Ack : seen.End;
        var ack = isReply ? seen.End : seen.Ack;
        var options = default(TcpOptions);
        if (seen.OptionsRef.HasTimestamps || random.Chance(10))
        {
            var (val, ecr) = isReply ? (seen.OptionsRef.TsEcr, seen.OptionsRef.TsVal) : (seen.OptionsRef.TsVal, seen.OptionsRef.TsEcr);
            options.SetTimestamps(val + Near(), ecr + Near());
        }
        if (random.Chance(20)) options.TryAddSackBlock(new SackBlock(ack + (uint)random.Size(20_000), ack + (uint)random.Size(20_000)));
        if (random.Chance(10)) options.TryAddSackBlock(new SackBlock(ack + Near(), ack + Near()));
        if (random.Chance(10)) options.Mss = (ushort)random.Size(65_536);
        if (random.Chance(10)) options.WindowScale = new WindowScale(random.Next(15));
        var segment = new TcpSegment
        {
            Seq = seq + Near(),
            Ack = ack + Near(),
            Flags = random.Chance(60)
                ? random.Pick(TcpFlags.Ack, TcpFlags.Ack | TcpFlags.Fin, TcpFlags.Rst, TcpFlags.Syn, TcpFlags.Ack | TcpFlags.Syn, TcpFlags.Ack | TcpFlags.Urg)
                : (TcpFlags)random.Next(256),
            Window = new UnscaledWindow((ushort)random.Size(65_536)),
            UrgentPointer = (ushort)random.Size(65_536),
            Options = options,
        };
        return RawTcp.Packet(source, from, destination, to, segment, new byte[random.Chance(50) ? 0 : random.Size(1_400)]);
    }

    /// <summary>An ICMP error about a segment that was seen or could have been; null where there is none.</summary>
    public byte[]? Lie()
    {
        if (_last.Length == 0 || _last[0] >> 4 != 4 || !RawTcp.TryRead(_last, out var from, out var to, out var seen, out _)) return null;
        var (source, destination) = Addresses(_last);
        return RawTcp.IcmpV4(
            random.Pick<byte>(3, 3, 3, 4, 5, 11, 12), (byte)random.Next(16), (ushort)random.Size(2_000), destination, source, from, destination, to, seen.Seq + Near());
    }

    private uint Near() => random.Next(6) switch
    {
        < 3 => 0,
        3 => (uint)(random.Size(3_000) - 1_500),
        4 => (uint)(random.Size(200_000) - 100_000),
        _ => (uint)random.Next64(),
    };

    private void Flip(byte[] packet, int from, int count, int length = int.MaxValue)
    {
        length = Math.Min(length, packet.Length - from);
        for (; count > 0 && length > 0; count--) packet[from + random.Next(length)] ^= (byte)(1 << random.Next(8));
    }

    private void Shift(byte[] packet, int at)
    {
        if (packet.Length < at + 4) return;
        var field = packet.AsSpan(at);
        BinaryPrimitives.WriteUInt32BigEndian(field, BinaryPrimitives.ReadUInt32BigEndian(field) + Near());
    }

    // Shorter, and the IP header agrees.
    private static byte[] Shorten(byte[] packet, int length)
    {
        var cut = packet[..length];
        if (cut[0] >> 4 == 4)
        {
            BinaryPrimitives.WriteUInt16BigEndian(cut.AsSpan(2), (ushort)length);
            cut[10] = cut[11] = 0;
            InternetChecksum.Store(cut.AsSpan(10), InternetChecksum.Sum(cut.AsSpan(0, 20)));
        }
        else
        {
            BinaryPrimitives.WriteUInt16BigEndian(cut.AsSpan(4), (ushort)(length - 40));
        }
        return cut;
    }

    private static int HeaderLength(byte[] packet) => packet[0] >> 4 == 4 ? 20 : 40;

    private static (IpAddress Source, IpAddress Destination) Addresses(byte[] packet) => packet[0] >> 4 == 4
        ? (IpAddress.ReadIPv4(packet.AsSpan(12)), IpAddress.ReadIPv4(packet.AsSpan(16)))
        : (IpAddress.ReadIPv6(packet.AsSpan(8)), IpAddress.ReadIPv6(packet.AsSpan(24)));
}
