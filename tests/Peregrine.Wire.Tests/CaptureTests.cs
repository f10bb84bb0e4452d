using System.Buffers.Binary;
using System.Text;

namespace Peregrine.Wire.Tests;

public class CaptureTests
{
    private const ulong Time = 1_700_000_000_123_456_789;

    private sealed record Frame(int InterfaceId, ulong TimeNs, string Hex, uint OriginalLength, CaptureDirection Direction, string Comment);

    private static (List<Frame> Frames, string? Error) ReadAll(CaptureReader reader)
    {
        List<Frame> frames = [];
        while (reader.TryReadFrame(out CapturedFrame frame))
        {
            frames.Add(new(
                frame.InterfaceId, frame.TimeNs, Convert.ToHexString(frame.Bytes), frame.OriginalLength, frame.Direction,
                Encoding.UTF8.GetString(frame.CommentUtf8)));
        }

        return (frames, reader.Error);
    }

    private static byte[] Written(Action<PcapngWriter> write, int snapLength = 65536)
    {
        using var stream = new MemoryStream();
        using (var writer = new PcapngWriter(stream, comment: "a capture", snapLength: snapLength, leaveOpen: true)) write(writer);
        return stream.ToArray();
    }

    [Fact]
    public void CaptureRoundTrips()
    {
        byte[] big = new byte[70_000];
        byte[] file = Written(writer =>
        {
            Assert.Equal(0, writer.AddInterface("tap0", description: "the link", mac: SampleFrames.MacA, bitsPerSecond: 10_000_000_000));
            Assert.Equal(1, writer.AddInterface("tun0", CaptureLinkType.RawIp));
            writer.WriteFrame(0, Time, [1, 2, 3], CaptureDirection.Inbound, "erste ä");
            writer.WriteFrame(1, Time + 1, [4, 5, 6, 7], CaptureDirection.Outbound);
            writer.WriteFrame(1, ulong.MaxValue / 2, [], comment: new string('x', 5000));
            writer.WriteFrame(0, Time + 2, big);
            writer.WriteStatistics(1, Time + 3, 77, 5);
            Assert.Equal(4, writer.FrameCount);
        });
        using var reader = new CaptureReader(new MemoryStream(file));
        (List<Frame> frames, string? error) = ReadAll(reader);
        Assert.Null(error);
        Assert.Equal(4, frames.Count);
        Assert.Equal(new(0, Time, "010203", 3, CaptureDirection.Inbound, "erste ä"), frames[0]);
        Assert.Equal(new(1, Time + 1, "04050607", 4, CaptureDirection.Outbound, ""), frames[1]);
        Assert.Equal(new(1, ulong.MaxValue / 2, "", 0, CaptureDirection.Unknown, new string('x', PcapngBlock.TextLengthMax)), frames[2]);
        Assert.Equal((70_000u, 2 * 65536), (frames[3].OriginalLength, frames[3].Hex.Length));
        Assert.Equal(["tap0", "tun0"], reader.Interfaces.Select(i => i.Name));
        CaptureInterface first = reader.Interfaces[0], second = reader.Interfaces[1];
        Assert.Equal(("the link", SampleFrames.MacA, 10_000_000_000ul, 65536u), (first.Description, first.Mac, first.BitsPerSecond, first.SnapLength));
        Assert.Equal((CaptureLinkType.Ethernet, CaptureLinkType.RawIp), (first.LinkType, second.LinkType));
        Assert.Equal((null, null, 77ul, 5ul), (first.ReceivedCount, first.DroppedCount, second.ReceivedCount, second.DroppedCount));
    }

    [Fact]
    public void CommentIsCutBetweenCharacters()
    {
        byte[] file = Written(writer =>
        {
            writer.AddInterface("a");
            writer.WriteFrame(0, Time, [1], comment: new string('x', PcapngBlock.TextLengthMax - 1) + "ä");
        });
        using var reader = new CaptureReader(new MemoryStream(file));
        Assert.Equal(new string('x', PcapngBlock.TextLengthMax - 1), Assert.Single(ReadAll(reader).Frames).Comment);
    }

    [Fact]
    public void WritingAFrameAllocatesNothing()
    {
        using var writer = new PcapngWriter(Stream.Null);
        writer.AddInterface("tap0");
        byte[] frame = new byte[1514];
        void Write() => writer.WriteFrame(0, Time, frame, CaptureDirection.Inbound, "why it was dropped");
        for (int i = 0; i < 1000; i++) Write();
        Assert.Equal(0, Allocation.Of(Write));
    }

    [Fact(Skip = "exceptions cannot be thrown here", SkipUnless = nameof(Expect.CanThrow), SkipType = typeof(Expect))]
    public void WriterRefusesAnUnknownInterface()
    {
        using var writer = new PcapngWriter(new MemoryStream());
        Assert.Throws<ArgumentOutOfRangeException>(() => writer.WriteFrame(0, Time, [1]));
        writer.AddInterface("a");
        writer.WriteFrame(0, Time, [1]);
        Assert.Throws<ArgumentOutOfRangeException>(() => writer.WriteFrame(-1, Time, [1]));
        Assert.Throws<ArgumentOutOfRangeException>(() => writer.WriteStatistics(1, Time, 1, 1));
        writer.Dispose();
        Assert.Throws<ObjectDisposedException>(() => writer.WriteFrame(0, Time, [1]));
    }

    [Fact]
    public void BlocksFitIntoASpanToTheByte()
    {
        byte[] room = new byte[256];
        int length = PcapngBlock.WritePacket(room, 0, Time, [1, 2, 3, 4, 5], 5, CaptureDirection.Inbound, "hm");
        Assert.Equal(0, length % 4);
        using var guarded = new GuardedBuffer(256);
        Span<byte> exact = guarded.AtEnd(length);
        Assert.Equal(length, PcapngBlock.WritePacket(exact, 0, Time, [1, 2, 3, 4, 5], 5, CaptureDirection.Inbound, "hm"));
        Assert.True(exact.SequenceEqual(room.AsSpan(0, length)));
        for (int shorter = 0; shorter < length; shorter++)
        {
            Expect.Throw<ArgumentException>(() => PcapngBlock.WritePacket(new byte[shorter], 0, Time, [1, 2, 3, 4, 5], 5, CaptureDirection.Inbound, "hm"));
        }
    }

    /// <summary>A pcapng file made by hand, in either byte order, with what our writer does not make.</summary>
    private static byte[] ByHand(bool bigEndian)
    {
        var file = new MemoryStream();
        void Put(int size, ulong value)
        {
            for (int i = 0; i < size; i++) file.WriteByte((byte)(value >> (8 * (bigEndian ? size - 1 - i : i))));
        }

        void Block(uint type, int bodyLength, Action body)
        {
            Put(4, type);
            Put(4, (ulong)bodyLength + 12);
            long before = file.Length;
            body();
            Assert.Equal(bodyLength, file.Length - before);
            Put(4, (ulong)bodyLength + 12);
        }

        void Section() => Block(0x0A0D0D0A, 16, () => { Put(4, 0x1A2B3C4D); Put(2, 1); Put(2, 2); Put(8, ulong.MaxValue); });
        void Interface(byte resolution, long offset) => Block(1, 8 + 8 + 12 + 4, () =>
        {
            Put(2, 1); Put(2, 0); Put(4, 4);
            Put(2, 9); Put(2, 1); file.Write([resolution, 0, 0, 0]);
            Put(2, 14); Put(2, 8); Put(8, (ulong)offset);
            Put(4, 0);
        });
        void Packet(uint id, ulong ticks) => Block(6, 20 + 4, () =>
        {
            Put(4, id); Put(4, ticks >> 32); Put(4, (uint)ticks);
            Put(4, 2); Put(4, 9); file.Write([0xAA, 0xBB, 0, 0]);
        });

        Section();
        Interface(6, 0);
        Interface(0x80 | 10, 100);
        Block(0x0BAD, 8, () => Put(8, 1));
        Packet(0, 1_500_000);
        Packet(1, 2048 + 512);
        Block(3, 8, () => { Put(4, 9); file.Write([1, 2, 3, 4]); });
        Section();
        Interface(9, 0);
        Packet(0, Time);
        return file.ToArray();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void BothByteOrdersResolutionsOffsetsAndSectionsAreRead(bool bigEndian)
    {
        using var reader = new CaptureReader(new MemoryStream(ByHand(bigEndian)));
        (List<Frame> frames, string? error) = ReadAll(reader);
        Assert.Null(error);
        Assert.Equal(
            [
                new(0, 1_500_000_000, "AABB", 9, CaptureDirection.Unknown, ""),
                new(1, 102_500_000_000, "AABB", 9, CaptureDirection.Unknown, ""),
                new(0, 0, "01020304", 9, CaptureDirection.Unknown, ""),
                new(0, Time, "AABB", 9, CaptureDirection.Unknown, ""),
            ],
            frames);
        Assert.Single(reader.Interfaces);
    }

    [Theory]
    [InlineData(false, false)]
    [InlineData(false, true)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public void ClassicCapturesAreRead(bool bigEndian, bool nanoseconds)
    {
        byte[] file = new byte[24 + 16 + 3];
        uint[] words = [nanoseconds ? 0xA1B2_3C4Du : 0xA1B2_C3D4u, 0, 0, 0, 65535, 1, 1_700_000_000, 123_456, 3, 60];
        words[1] = bigEndian ? 0x0002_0004u : 0x0004_0002u;
        for (int i = 0; i < words.Length; i++)
        {
            if (bigEndian) BinaryPrimitives.WriteUInt32BigEndian(file.AsSpan(4 * i), words[i]);
            else BinaryPrimitives.WriteUInt32LittleEndian(file.AsSpan(4 * i), words[i]);
        }

        file[40] = 7;
        using var reader = new CaptureReader(new MemoryStream(file));
        (List<Frame> frames, string? error) = ReadAll(reader);
        Assert.Null(error);
        ulong fraction = nanoseconds ? 123_456ul : 123_456_000ul;
        Assert.Equal([new(0, 1_700_000_000_000_000_000 + fraction, "070000", 60, CaptureDirection.Unknown, "")], frames);
        Assert.Equal(1, reader.Interfaces[0].LinkType);
    }

    [Fact]
    public void EveryTruncationEndsWithAnErrorOrAtABlock()
    {
        byte[] file = ByHand(false);
        for (int length = 0; length < file.Length; length++)
        {
            using var reader = new CaptureReader(new MemoryStream(file[..length]));
            (List<Frame> frames, string? error) = ReadAll(reader);
            Assert.True(frames.Count < 4);
            bool atBlock = error is null;
            Assert.True(atBlock || error!.EndsWith('.'));
            Assert.False(reader.TryReadFrame(out _));
            if (length < 28) Assert.False(atBlock);
        }
    }

    [Fact]
    public void MutatedCapturesNeverThrowNorGrow()
    {
        const int Seed = 20264;
        var random = new Random(Seed);
        byte[][] files =
        [
            ByHand(false), ByHand(true),
            Written(w =>
            {
                w.AddInterface("tap0", mac: SampleFrames.MacA);
                w.WriteFrame(0, Time, [1, 2, 3, 4, 5], CaptureDirection.Inbound, "c");
                w.WriteStatistics(0, Time, 1, 2);
            }),
        ];
        for (int i = 0; i < 30_000; i++)
        {
            byte[] bytes = [.. files[i % files.Length]];
            for (int count = random.Next(1, 6); count > 0; count--)
            {
                bytes[random.Next(bytes.Length)] = random.Next(3) switch { 0 => 0, 1 => 0xFF, _ => (byte)random.Next(256) };
            }

            using var reader = new CaptureReader(new MemoryStream(bytes));
            int frames = 0;
            while (reader.TryReadFrame(out CapturedFrame frame))
            {
                Assert.True(frame.Bytes.Length <= bytes.Length, $"seed {Seed}, input {i}");
                Assert.True(++frames <= bytes.Length / 12, $"seed {Seed}, input {i}");
            }
        }
    }

    [Theory]
    [InlineData("", "empty")]
    [InlineData("0A0D0D", "first four bytes")]
    [InlineData("89504E470D0A1A0A", "neither a pcapng nor a pcap")]
    [InlineData("0A0D0D0A1C000000FFFFFFFF", "byte-order magic")]
    [InlineData("0A0D0D0A1C0000004D3C2B1A02000000FFFFFFFFFFFFFFFF1C000000", "version 2")]
    [InlineData("0A0D0D0A1D0000004D3C2B1A", "length of 29")]
    [InlineData("0A0D0D0A0C0000004D3C2B1A", "too short")]
    [InlineData("0A0D0D0A0000007F4D3C2B1A", "at most")]
    [InlineData("0A0D0D0A1C0000004D3C2B1A01000000FFFFFFFFFFFFFFFF20000000", "lengths differ")]
    public void ErrorSaysWhatIsWrong(string hex, string expected)
    {
        using var reader = new CaptureReader(new MemoryStream(Convert.FromHexString(hex)));
        Assert.False(reader.TryReadFrame(out _));
        Assert.Contains(expected, reader.Error);
    }

    [Fact]
    public void StreamThatGivesByteByByteIsRead()
    {
        using var reader = new CaptureReader(new Trickle(ByHand(true)));
        (List<Frame> frames, string? error) = ReadAll(reader);
        Assert.Null(error);
        Assert.Equal(4, frames.Count);
    }

    [Fact(Skip = "capinfos is not installed", SkipUnless = nameof(ExternalTool.HasCapinfos), SkipType = typeof(ExternalTool))]
    public void CapinfosAcceptsTheCapture()
    {
        using TemporaryCapture capture = TemporaryCapture.Of(SampleFrames.All);
        string report = string.Join('\n', ExternalTool.Run("capinfos", capture.Path));
        Assert.Contains("pcapng", report);
        Assert.Contains("nanoseconds", report);
        Assert.Contains("sample frames", report);
        Assert.Contains("Name = tap0", report);
        Assert.Contains("Description = the link", report);
        Assert.Matches($"Number of packets: +{SampleFrames.All.Count}\n", report);
    }

    [Fact(Skip = "tshark is not installed", SkipUnless = nameof(ExternalTool.HasTshark), SkipType = typeof(ExternalTool))]
    public void TsharkFindsTimesCommentsDirectionsAndNothingMalformed()
    {
        using TemporaryCapture capture = TemporaryCapture.Of(SampleFrames.All);
        string[] lines = ExternalTool.Run(
            "tshark", "-n", "-r", capture.Path, "-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE", "-T",
            "fields", "-e", "frame.time_epoch", "-e", "frame.comment", "-e", "frame.packet_flags_direction", "-e", "_ws.malformed", "-e",
            "ip.checksum.status", "-e", "tcp.checksum.status", "-e", "udp.checksum.status", "-e", "icmp.checksum.status", "-e", "icmpv6.checksum.status");
        Assert.Equal(SampleFrames.All.Count, lines.Length);
        for (int i = 0; i < lines.Length; i++)
        {
            string[] fields = lines[i].Split('\t');
            string name = SampleFrames.All[i].Name;
            ulong fraction = 123_456_789ul + 1001ul * (ulong)(i + 1);
            Assert.Contains(fraction.ToString(), fields[0]);
            Assert.Equal(name, fields[1]);
            Assert.EndsWith("2", fields[2]);
            Assert.True(fields[3].Length == 0, $"{name} is malformed to tshark");
            // 0 is bad, 1 good, 2 not checked, 3 absent; a quoted datagram that is cut off cannot be checked.
            Assert.True(fields[4..].All(field => !field.Split(',').Contains("0")), $"{name} has a wrong checksum to tshark: {lines[i]}");
        }
    }

    /// <summary>A stream that never gives more than a byte.</summary>
    private sealed class Trickle(byte[] bytes) : MemoryStream(bytes)
    {
        public override int Read(byte[] buffer, int offset, int count) => base.Read(buffer, offset, Math.Min(1, count));
    }
}
