// Bytes that nobody should send, at the edge of memory that cannot be touched: truncated, mutated and random ones, through every parser
// and the printer. A read too far ends the process, a throw fails the test with the seed and number that replay it.
namespace Peregrine.Wire.Tests;

public class HostileInputTests
{
    private const int MutationCount = 150_000;
    private const int RandomCount = 100_000;

    public static TheoryData<string> Names => SampleFrames.Names;

    [Theory]
    [MemberData(nameof(Names))]
    public void EveryTruncationOfAFrameIsHarmless(string name)
    {
        byte[] frame = SampleFrames.Named(name).Bytes;
        using var guarded = new GuardedBuffer(frame.Length);
        var walk = new ParserWalk();
        for (int length = 0; length <= frame.Length; length++) walk.Frame(guarded.Copy(frame.AsSpan(0, length)));
        Assert.True(walk.AcceptedCount > 0);
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void EveryTruncationOfAPacketIsRefused(string name)
    {
        Assert.True(EthernetFrame.TryParse(SampleFrames.Named(name).Bytes, out EthernetFrame frame));
        using var guarded = new GuardedBuffer(frame.Payload.Length);
        for (int length = 0; length < frame.Payload.Length; length++)
        {
            Span<byte> cut = guarded.Copy(frame.Payload[..length]);
            Assert.False(IPv4Packet.TryParse(cut, out _));
            Assert.False(IPv6Packet.TryParse(cut, out _));
            if (frame.EtherType == EtherType.Arp) Assert.Equal(length >= ArpHeader.Length, ArpPacket.TryParse(cut, out _));
        }
    }

    [Fact]
    public void MutatedFramesAreHarmless()
    {
        const int Seed = 20261;
        var random = new Random(Seed);
        SampleFrame[] samples = [.. SampleFrames.All];
        using var guarded = new GuardedBuffer(4096);
        byte[] buffer = new byte[4096];
        var walk = new ParserWalk();
        for (int i = 0; i < MutationCount; i++)
        {
            byte[] original = samples[random.Next(samples.Length)].Bytes;
            original.CopyTo(buffer, 0);
            int length = Mutate(buffer, original.Length, random);
            Run(walk, guarded.Copy(buffer.AsSpan(0, length)), Seed, i);
        }

        // The corpus must reach behind the first check of each layer, else it proves little.
        Assert.InRange(walk.AcceptedCount, MutationCount, long.MaxValue);
    }

    [Fact]
    public void RandomBytesAreHarmless()
    {
        const int Seed = 20262;
        var random = new Random(Seed);
        using var guarded = new GuardedBuffer(256);
        var walk = new ParserWalk();
        for (int i = 0; i < RandomCount; i++)
        {
            Span<byte> bytes = guarded.AtEnd(random.Next(200));
            random.NextBytes(bytes);
            // Half of them begin as something, so that the layers behind are met.
            if (bytes.Length > 14 && i % 2 == 0)
            {
                bool six = i % 4 == 0;
                bytes[12] = six ? (byte)0x86 : (byte)0x08;
                bytes[13] = six ? (byte)0xDD : (byte)0x00;
                bytes[14] = six ? (byte)0x60 : (byte)(0x40 | random.Next(16));
            }

            Run(walk, bytes, Seed, i);
        }

        Assert.True(walk.AcceptedCount > 0);
    }

    [Fact]
    public void RandomTcpOptionsAreHarmlessAndRoundTripWhatTheyMean()
    {
        var random = new Random(20263);
        byte[] kinds = [0, 1, 1, 2, 3, 4, 5, 8, 19, 28, 29, 30, 34, 99];
        using var guarded = new GuardedBuffer(64);
        byte[] written = new byte[80];
        for (int i = 0; i < 100_000; i++)
        {
            Span<byte> bytes = guarded.AtEnd(random.Next(41));
            random.NextBytes(bytes);
            // Plausible kinds and lengths at plausible places.
            for (int at = 0; at + 1 < bytes.Length; at += Math.Max(1, (int)bytes[at + 1]))
            {
                bytes[at] = kinds[random.Next(kinds.Length)];
                bytes[at + 1] = (byte)random.Next(13);
            }

            bool isSyn = i % 2 == 0;
            TcpOptions.Parse(bytes, isSyn, out TcpOptions options);
            Assert.True(options.WindowScale.Shift <= WindowScale.ShiftMax);
            Assert.True(options.FastOpenCookieOffset + options.FastOpenCookieLength <= bytes.Length);
            Assert.True(options.AuthenticationOffset + options.AuthenticationLength <= bytes.Length);
            Assert.True(options.MptcpOffset + options.MptcpLength <= bytes.Length);
            Assert.True(!isSyn || options.SackBlockCount == 0);
            if (options.EncodedLength > TcpOptions.LengthMax) continue;
            const TcpOptionFlags NotWritten = TcpOptionFlags.Md5 | TcpOptionFlags.Authentication | TcpOptionFlags.Mptcp;
            if ((options.Flags & NotWritten) != 0) continue;
            int length = options.WriteTo(written, bytes.Slice(options.FastOpenCookieOffset, options.FastOpenCookieLength));
            Assert.True(TcpOptions.Parse(written.AsSpan(0, length), isSyn, out TcpOptions again));
            // Four blocks do not fit beside another option that arrived unaligned; all else must come back.
            if (options.SackBlockCount == again.SackBlockCount) Assert.Equal(options, again);
            else Assert.True(options.SackBlockCount > again.SackBlockCount);
        }
    }

    private static void Run(ParserWalk walk, ReadOnlySpan<byte> frame, int seed, int number)
    {
        try
        {
            walk.Frame(frame);
        }
        catch (Exception e)
        {
            Assert.Fail($"seed {seed}, input {number}, {Convert.ToHexString(frame)}: {e}");
        }
    }

    /// <summary>Flips bits, puts in extreme values, cuts, extends, copies pieces; returns the new length.</summary>
    private static int Mutate(byte[] buffer, int length, Random random)
    {
        ReadOnlySpan<byte> extremes = [0, 1, 2, 3, 4, 7, 8, 0x0F, 0x40, 0x45, 0x4F, 0x60, 0x7F, 0x80, 0xFE, 0xFF, 43, 44, 51, 58, 60];
        for (int count = random.Next(1, 5); count > 0; count--)
        {
            // Mostly in the headers, where the decisions are.
            int at = random.Next(3) == 0 ? random.Next(length) : random.Next(Math.Min(length, 80));
            switch (random.Next(6))
            {
                case 0:
                    buffer[at] ^= (byte)(1 << random.Next(8));
                    break;
                case 1 or 2:
                    buffer[at] = extremes[random.Next(extremes.Length)];
                    break;
                case 3:
                    buffer[at] = (byte)random.Next(256);
                    break;
                case 4:
                    length = random.Next(2) == 0 ? Math.Max(1, at) : Math.Min(buffer.Length, length + random.Next(40));
                    break;
                default:
                    int size = Math.Min(random.Next(16), length - at);
                    buffer.AsSpan(random.Next(length - size + 1), size).CopyTo(buffer.AsSpan(at));
                    break;
            }
        }

        return length;
    }
}

/// <summary>Runs bytes through every parser, whatever they claim to be, and touches what each accepts.</summary>
internal sealed class ParserWalk
{
    private readonly char[] _line = new char[FramePrinter.LineLengthMax];

    /// <summary>Views that parsers have given out.</summary>
    public long AcceptedCount { get; private set; }

    /// <summary>So that nothing read is optimised away.</summary>
    public ulong Seen { get; private set; }

    public void Frame(ReadOnlySpan<byte> bytes)
    {
        Assert.True(FramePrinter.Print(bytes, _line, FramePrinterOptions.LinkHeader | FramePrinterOptions.Checksums) > 0);
        FramePrinter.PrintPacket(bytes, _line.AsSpan(0, bytes.Length));
        Packet(bytes);
        if (!EthernetFrame.TryParse(bytes, out EthernetFrame frame)) return;
        Take(frame.Payload);
        Seen += frame.Source.Value + frame.Destination.Value + frame.EtherType + frame.OuterTag.Value + frame.InnerTag.Value;
        if (ArpPacket.TryParse(frame.Payload, out ArpPacket arp)) Seen += arp.SenderMac.Value + arp.TargetAddress.Low;
        Packet(frame.Payload);
    }

    private void Take(ReadOnlySpan<byte> bytes)
    {
        AcceptedCount++;
        Seen += InternetChecksum.Sum(bytes);
    }

    private void Packet(ReadOnlySpan<byte> bytes)
    {
        if (IPv4Packet.TryParse(bytes, out IPv4Packet four) || IPv4Packet.TryParseQuoted(bytes, out four))
        {
            Take(four.Bytes);
            Seen += four.Source.Low + four.Destination.Low + (uint)four.FragmentOffset + four.Identification + (four.HasValidChecksum ? 1u : 0);
            IPv4OptionEnumerator options = four.EnumerateOptions();
            for (int count = 0; options.MoveNext(); count++)
            {
                Assert.True(count <= 40);
                Seen += InternetChecksum.Sum(options.Content);
            }

            Transport(four.Payload, four.Source, four.Destination);
        }

        if (!IPv6Packet.TryParse(bytes, out IPv6Packet six) && !IPv6Packet.TryParseQuoted(bytes, out six)) return;
        Take(six.Bytes);
        foreach (bool through in (ReadOnlySpan<bool>)[false, true]) Extensions(six, six.WalkHeaders(through));
        Transport(six.Payload, six.Source, six.Destination);
    }

    private void Extensions(IPv6Packet packet, IPv6HeaderChain chain)
    {
        Assert.InRange(chain.UpperLayerOffset, IPv6Header.Length, packet.Bytes.Length);
        Assert.InRange(chain.NextHeaderFieldOffset, 0, packet.Bytes.Length - 1);
        Options(packet, chain.HopByHopOffset);
        Options(packet, chain.DestinationOptionsOffset);
        if (chain.FragmentOffset >= 0) Seen += IPv6FragmentHeader.Read(packet.Bytes[chain.FragmentOffset..]).Identification;
        Transport(packet.Bytes[chain.UpperLayerOffset..], packet.Source, packet.Destination);
    }

    private void Options(IPv6Packet packet, int offset)
    {
        if (offset < 0) return;
        var options = new IPv6OptionEnumerator(packet.Bytes[offset..]);
        for (int count = 0; options.MoveNext(); count++)
        {
            Assert.True(count <= 1024);
            Seen += InternetChecksum.Sum(options.Content) + (uint)options.Action;
        }
    }

    private void Transport(ReadOnlySpan<byte> bytes, IpAddress source, IpAddress destination)
    {
        if (TcpPacket.TryParse(bytes, out TcpPacket tcp))
        {
            Take(tcp.Payload);
            tcp.ToSegment(out TcpSegment segment);
            Assert.Equal(bytes.Length - tcp.HeaderLength, segment.PayloadLength);
            Seen += segment.Length + (tcp.HasValidChecksum(source, destination) ? 1u : 0);
        }

        if (UdpDatagram.TryParse(bytes, out UdpDatagram udp))
        {
            Take(udp.Payload);
            Seen += udp.HasValidChecksum(source, destination) ? 1u : 0;
        }

        if (Icmpv4Packet.TryParse(bytes, out Icmpv4Packet four))
        {
            Take(four.Body);
            Seen += four.HasValidChecksum ? four.Identifier : four.Pointer;
            if (four.TryGetQuotedPacket(out IPv4Packet quoted)) Take(quoted.Payload);
        }

        if (!Icmpv6Packet.TryParse(bytes, out Icmpv6Packet packet)) return;
        Take(packet.Body);
        if (packet.TryGetQuotedPacket(out IPv6Packet quotedSix)) Take(quotedSix.Payload);
        if (NeighborSolicitation.TryParse(packet, out NeighborSolicitation solicitation)) Discovery(solicitation.Options);
        if (NeighborAdvertisement.TryParse(packet, out NeighborAdvertisement advertisement)) Discovery(advertisement.Options);
        if (RouterSolicitation.TryParse(packet, out RouterSolicitation routerSolicitation)) Discovery(routerSolicitation.Options);
        if (RouterAdvertisement.TryParse(packet, out RouterAdvertisement router)) Discovery(router.Options);
        if (RedirectMessage.TryParse(packet, out RedirectMessage redirect)) Discovery(redirect.Options);
    }

    private void Discovery(NdOptions options)
    {
        Take(options.Bytes);
        options.TryGetMtu(out uint mtu);
        options.TryGetLinkLayerAddress(1, out MacAddress mac);
        Seen += mtu + mac.Value;
        foreach (NdOption option in options)
        {
            Take(option.Content);
            if (option.TryGetPrefix(out NdPrefixInformation prefix)) Seen += prefix.Prefix.Broadcast.Low;
        }
    }
}
