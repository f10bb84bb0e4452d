// Headers read and written: a data segment with timestamps, over IPv4 and IPv6.
using BenchmarkDotNet.Attributes;
using Peregrine.Wire;

namespace Peregrine.Stages.Bench;

public class HeaderBenchmarks
{
    private const int Payload = 64;

    private static readonly MacAddress Us = MacAddress.Parse("02:00:00:00:00:01"), Peer = MacAddress.Parse("02:00:00:00:00:02");

    private readonly byte[] _frame = new byte[14 + 40 + 60 + Payload], _written = new byte[14 + 40 + 60 + Payload];
    private IpAddress _local, _remote;
    private TcpSegment _segment;
    private int _length;

    [Params(4, 6)]
    public int Version { get; set; }

    [GlobalSetup]
    public void Prepare()
    {
        (_local, _remote) = Version == 4
            ? (IpAddress.Parse("192.0.2.1"), IpAddress.Parse("192.0.2.2")) : (IpAddress.Parse("2001:db8::1"), IpAddress.Parse("2001:db8::2"));
        var options = default(TcpOptions);
        options.SetTimestamps(1, 2);
        _segment = new TcpSegment { Seq = new SeqNumber(1_000), Ack = new SeqNumber(2_000), Flags = TcpFlags.Ack | TcpFlags.Psh, PayloadLength = Payload, Options = options };
        _length = Write(_frame);
    }

    [Benchmark]
    public int Parse()
    {
        if (!EthernetFrame.TryParse(_frame.AsSpan(0, _length), out var ethernet)) return 0;
        scoped ReadOnlySpan<byte> transport;
        if (Version == 4)
        {
            if (!IPv4Packet.TryParse(ethernet.Payload, out var packet)) return 0;
            transport = packet.Payload;
        }
        else
        {
            if (!IPv6Packet.TryParse(ethernet.Payload, out var packet)) return 0;
            transport = packet.Payload;
        }
        return TcpPacket.TryParse(transport, out var tcp) ? tcp.Payload.Length : 0;
    }

    [Benchmark]
    public int Write() => Write(_written);

    private int Write(byte[] frame)
    {
        var ip = EthernetHeader.Write(frame, Peer, Us, Version == 4 ? EtherType.IPv4 : EtherType.IPv6);
        var header = ip + (Version == 4 ? 20 : 40);
        var tcp = TcpHeader.Write(frame.AsSpan(header), 443, 50_000, _segment);
        _ = Version == 4
            ? IPv4Header.Write(frame.AsSpan(ip), _local, _remote, 6, tcp + Payload) : IPv6Header.Write(frame.AsSpan(ip), _local, _remote, 6, tcp + Payload);
        return header + tcp + Payload;
    }
}
