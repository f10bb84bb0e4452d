// Codes of whole segments: the 32 of RFC 9235, and an MD5 signature summed by hand; keys and their sets.
using System.Buffers.Binary;
using System.Security.Cryptography;
using Peregrine.Core.Memory;
using Peregrine.Core.Tcp.Authentication;
using Peregrine.Wire;

namespace Peregrine.Core.Tests.Tcp.Authentication;

public sealed class SegmentMacTests
{
    public static TheoryData<string> Sections => new(Rfc9235Vectors.All.Select(static v => v[0]));

    [Theory]
    [MemberData(nameof(Sections))]
    public void TrafficKeyAndCodeAreThoseOfRfc9235(string section)
    {
        var vector = Rfc9235Vectors.All.Single(v => v[0] == section);
        var key = new TcpKey(Enum.Parse<TcpKeyAlgorithm>(vector[1]), "testvector"u8) { CoversOptions = vector[2] == "true" };
        var packet = new Packet(Convert.FromHexString(vector[4]));
        var syn = new Packet(Convert.FromHexString(Rfc9235Vectors.All.Single(v => v[0] == section[..^1] + "1")[4]));
        var synAck = new Packet(Convert.FromHexString(Rfc9235Vectors.All.Single(v => v[0] == section[..^1] + "2")[4]));
        var isFromClient = section[^1] is '1' or '3';
        var (own, other) = isFromClient ? (syn.Seq, synAck.Seq) : (synAck.Seq, syn.Seq);
        var trafficKey = default(TrafficKey);
        trafficKey.Derive(key, packet.Source, packet.Destination, own, section[^1] == '1' ? 0 : other);
        Assert.Equal(vector[3], Convert.ToHexStringLower(trafficKey.Bytes(key)));
        Assert.Equal(vector[5], Convert.ToHexStringLower(packet.Compute(key, trafficKey.Bytes(key).ToArray())));
    }

    [Theory]
    [InlineData("4.1.3")]
    [InlineData("6.1.3")]
    // RFC 2385 §2.0: pseudo-header, header without options and with a checksum of zero, data, key.
    public void SignatureIsMd5OverThePartsOfRfc2385(string section)
    {
        var bytes = Convert.FromHexString(Rfc9235Vectors.All.Single(v => v[0] == section)[4]);
        var packet = new Packet(bytes);
        var tcp = bytes.AsSpan(packet.Offset);
        var headerLength = (tcp[12] >> 4) * 4;
        var message = new List<byte>();
        if (packet.Source.Address.IsIPv4)
        {
            message.AddRange(bytes[12..20]);
            message.AddRange([0, 6, (byte)(tcp.Length >> 8), (byte)tcp.Length]);
        }
        else
        {
            message.AddRange(bytes[8..40]);
            message.AddRange([0, 0, (byte)(tcp.Length >> 8), (byte)tcp.Length, 0, 0, 0, 6]);
        }
        message.AddRange(tcp[..16].ToArray());
        message.AddRange([0, 0, tcp[18], tcp[19]]);
        message.AddRange(tcp[headerLength..].ToArray());
        message.AddRange("secret"u8.ToArray());
        Assert.Equal(MD5.HashData(message.ToArray()), packet.Compute(new TcpKey(TcpKeyAlgorithm.Md5, "secret"u8), []));
    }

    [Fact]
    public void ExtensionFollowsNumbersAroundAndBack()
    {
        var extension = new SequenceExtension(new SeqNumber(0xFFFF_FF00));
        Assert.Equal(0u, extension.Of(new SeqNumber(0xFFFF_FFFF)));
        Assert.Equal(1u, extension.Of(new SeqNumber(5)));
        extension.Advance(new SeqNumber(5));
        Assert.Equal(1u, extension.Of(new SeqNumber(0x4000_0000)));
        // RFC 5925 §6.2: a reordered segment of the turn before.
        Assert.Equal(0u, extension.Of(new SeqNumber(0xFFFF_FFF0)));
        extension.Advance(new SeqNumber(0xFFFF_FFF0));
        Assert.Equal(1u, extension.Of(new SeqNumber(6)));
        for (var turn = 1u; turn < 5; turn++)
        {
            foreach (var at in (uint[])[0x4000_0000, 0x8000_0000, 0xC000_0000, 0]) extension.Advance(new SeqNumber(at));
            Assert.Equal(turn + 1, extension.Of(new SeqNumber(1)));
        }
    }

    [Fact]
    public void LongestPrefixHasThePeersKeys()
    {
        var (all, net, host) = (Key(0, null), Key(1, "192.0.2.0/24"), Key(2, "192.0.2.9/32"));
        var set = new TcpKeySet(all, host, net);
        Assert.Same(host, For(set, "192.0.2.9")!.Keys[0]);
        Assert.Same(net, For(set, "192.0.2.8")!.Keys[0]);
        Assert.Same(all, For(set, "2001:db8::1")!.Keys[0]);
        Assert.Null(For(new TcpKeySet(net), "198.51.100.1"));
    }

    [Fact]
    public void KeysAreChosenByPortsAndOurAddressToo()
    {
        TcpKey all = Key(0, null), port = Key(1, null, peerPort: 179), ours = Key(2, null, local: "203.0.113.0/24"), net = Key(3, "192.0.2.0/24"), both = Key(4, "192.0.2.0/24", 179), last = Key(5, null, localPort: 22);
        // Identifiers of connections that a narrower key is for may be the same as others'.
        var set = new TcpKeySet(all, last, ours, port, net, both);
        Assert.Same(all, For(set, "198.51.100.1")!.Keys[0]);
        Assert.Same(last, For(set, "198.51.100.1", localPort: 22)!.Keys[0]);
        Assert.Same(ours, For(set, "198.51.100.1", local: "203.0.113.9", localPort: 22)!.Keys[0]);
        Assert.Same(port, For(set, "198.51.100.1", 179, "203.0.113.9")!.Keys[0]);
        Assert.Same(net, For(set, "192.0.2.9", 180, "203.0.113.9")!.Keys[0]);
        Assert.Same(both, For(set, "192.0.2.9", 179, "203.0.113.9")!.Keys[0]);
        Assert.Null(For(new TcpKeySet(port, ours, last, both), "192.0.2.9", 180));
        Assert.Equal(2, For(new TcpKeySet(port, Key(2, null, peerPort: 179)), "192.0.2.9", 179)!.Keys.Length);
        Assert.Equal("HmacSha1 192.0.2.0/24 port 179 send 4 receive 4", both.ToString());
    }

    [Fact]
    [Trait("emulation", "throws")]
    public void KeysThatContradictEachOtherAreRefused()
    {
        Assert.Throws<ArgumentException>(static () => new TcpKey(TcpKeyAlgorithm.Md5, []));
        Assert.Throws<ArgumentException>(static () => new TcpKey(TcpKeyAlgorithm.Md5, new byte[81]));
        Assert.Throws<ArgumentException>(static () => new TcpKeySet());
        Assert.Throws<ArgumentException>(static () => new TcpKeySet(Key(1, "192.0.2.0/24"), Key(1, "192.0.2.7/24")));
        Assert.Throws<ArgumentException>(static () => new TcpKeySet(Key(1, null, 179), Key(1, null, 179)));
        Assert.Throws<ArgumentException>(static () => new TcpKeySet(Key(1, null), new TcpKey(TcpKeyAlgorithm.Md5, "x"u8)));
        Assert.DoesNotContain("secret", Key(1, null).ToString(), StringComparison.Ordinal);
    }

    private static TcpKey Key(byte id, string? peer, ushort? peerPort = null, string? local = null, ushort? localPort = null) => new(TcpKeyAlgorithm.HmacSha1, "secret"u8)
    {
        SendId = id, ReceiveId = id, Peer = peer is null ? null : IpPrefix.Parse(peer), PeerPort = peerPort, Local = local is null ? null : IpPrefix.Parse(local), LocalPort = localPort,
    };

    private static TcpPeerKeys? For(TcpKeySet set, string peer, ushort peerPort = 40_000, string local = "203.1.113.1", ushort localPort = 179) =>
        set.For(new Endpoint(IpAddress.Parse(local), localPort), new Endpoint(IpAddress.Parse(peer), peerPort));

    private sealed class Packet
    {
        private readonly byte[] _bytes;

        internal Packet(byte[] bytes)
        {
            _bytes = bytes;
            var isV4 = bytes[0] >> 4 == 4;
            Offset = isV4 ? 20 : 40;
            var (at, length) = isV4 ? (12, 4) : (8, 16);
            Source = new Endpoint(Address(bytes.AsSpan(at, length)), BinaryPrimitives.ReadUInt16BigEndian(bytes.AsSpan(Offset)));
            Destination = new Endpoint(Address(bytes.AsSpan(at + length, length)), BinaryPrimitives.ReadUInt16BigEndian(bytes.AsSpan(Offset + 2)));
            Seq = BinaryPrimitives.ReadUInt32BigEndian(bytes.AsSpan(Offset + 4));
        }

        private static IpAddress Address(ReadOnlySpan<byte> bytes) => bytes.Length == 4 ? IpAddress.ReadIPv4(bytes) : IpAddress.ReadIPv6(bytes);

        internal int Offset { get; }

        internal Endpoint Source { get; }

        internal Endpoint Destination { get; }

        internal uint Seq { get; }

        internal byte[] Compute(TcpKey key, byte[] trafficKey)
        {
            using var region = MemoryRegion.Allocate(ChunkPool.BytesFor(2_048, 4));
            var frames = new FramePool(new ChunkPool(region, 2_048, 4, "frames"));
            Assert.True(frames.TryRent(out var frame, 0));
            // In two chunks: the payload goes on in the second.
            var head = Math.Min(_bytes.Length, Offset + 64);
            (frame.HeadLength, frame.Length) = ((ushort)head, head);
            _bytes.AsSpan(0, head).CopyTo(frames.Head(frame));
            var last = frame.Chunk;
            if (head < _bytes.Length)
            {
                Assert.True(frames.TryExtend(ref frame, ref last, _bytes.Length - head));
                _bytes.AsSpan(head).CopyTo(frames.ChunkSpan(last));
            }
            var headerLength = (_bytes[Offset + 12] >> 4) * 4;
            Assert.True(TcpOptions.Parse(_bytes.AsSpan(Offset + 20, headerLength - 20), isSyn: true, out var options));
            var segment = new SegmentBytes(frames, frame, Offset, _bytes.Length - Offset, headerLength, 20 + options.AuthenticationOffset, options.AuthenticationLength);
            var mac = new byte[SegmentMac.LengthOf(key.Algorithm)];
            SegmentMac.Compute(key, trafficKey, 0, Source.Address, Destination.Address, segment, mac);
            return mac;
        }
    }
}
