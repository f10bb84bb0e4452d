using System.Runtime.CompilerServices;

namespace Peregrine.Wire.Tests;

public class TcpTests
{
    private static TcpOptions Parsed(bool isSyn, params byte[] bytes)
    {
        Assert.True(TcpOptions.Parse(bytes, isSyn, out TcpOptions options));
        return options;
    }

    private static AccurateEcnOption RandomCounters(Random random)
    {
        var form = new AccurateEcnOption(random.Next(2), random.Next(4), 0, 0, 0);
        return form with
        {
            Ect0Bytes = form.HasEct0 ? (uint)random.Next(1 << 24) : 0,
            CeBytes = form.HasCe ? (uint)random.Next(1 << 24) : 0,
            Ect1Bytes = form.HasEct1 ? (uint)random.Next(1 << 24) : 0,
        };
    }

    private static TcpOptions RandomOptions(Random random, bool isSyn)
    {
        TcpOptions options = default;
        if (random.Next(2) == 0) options.SetTimestamps((uint)random.NextInt64(), (uint)random.NextInt64());
        if (random.Next(4) == 0) options.AccurateEcn = RandomCounters(random);
        if (random.Next(4) == 0) options.UserTimeoutField = (ushort)random.Next(65536);
        if (isSyn)
        {
            if (random.Next(2) == 0) options.Mss = (ushort)random.Next(65536);
            if (random.Next(2) == 0) options.WindowScale = new WindowScale(random.Next(15));
            options.SackPermitted = random.Next(2) == 0;
            if (random.Next(3) == 0) options.SetFastOpen(random.Next(4) * 4);
            return options;
        }

        int blocks = (TcpOptions.LengthMax - 4 - options.EncodedLength) / 8;
        for (int i = random.Next(blocks + 1); i > 0; i--)
        {
            Assert.True(options.TryAddSackBlock(new SackBlock(new((uint)random.NextInt64()), new((uint)random.NextInt64()))));
        }

        return options;
    }

    [Fact]
    public void EverySegmentRoundTrips()
    {
        var random = new Random(9293);
        byte[] payload = new byte[1500];
        random.NextBytes(payload);
        for (int i = 0; i < 20_000; i++)
        {
            var flags = (TcpFlags)random.Next(512);
            TcpOptions options = RandomOptions(random, (flags & TcpFlags.Syn) != 0);
            if (options.EncodedLength > TcpOptions.LengthMax) continue;
            byte[] cookie = new byte[options.FastOpenCookieLength];
            random.NextBytes(cookie);
            var segment = new TcpSegment
            {
                Seq = new((uint)random.NextInt64()), Ack = new((uint)random.NextInt64()), Flags = flags,
                Window = new((ushort)random.Next(65536)), UrgentPointer = (ushort)random.Next(65536), PayloadLength = random.Next(100), Options = options,
            };
            bool six = random.Next(2) == 0;
            IpAddress source = six ? SampleFrames.SixA : SampleFrames.FourA, destination = six ? SampleFrames.SixB : SampleFrames.FourB;
            byte[] bytes = SampleFrames.MakeTcp(source, destination, segment, payload.AsSpan(0, segment.PayloadLength), cookie);
            Assert.True(TcpPacket.TryParse(bytes, out TcpPacket packet));
            Assert.True(packet.HasValidChecksum(source, destination));
            Assert.False(packet.HasValidChecksum(source, SampleFrames.FourA));
            Assert.True(packet.ToSegment(out TcpSegment read));
            Assert.Equal(segment, read);
            Assert.True(segment == read);
            Assert.Equal((40000, 7777), (packet.SourcePort, packet.DestinationPort));
            Assert.True(packet.Payload.SequenceEqual(payload.AsSpan(0, segment.PayloadLength)));
            if (!read.Options.HasFastOpen) continue;
            Assert.True(packet.Options.Slice(read.Options.FastOpenCookieOffset, read.Options.FastOpenCookieLength).SequenceEqual(cookie));
        }
    }

    [Theory]
    [InlineData(TcpFlags.None, 0, 0u)]
    [InlineData(TcpFlags.Syn, 0, 1u)]
    [InlineData(TcpFlags.Fin, 0, 1u)]
    [InlineData(TcpFlags.Syn | TcpFlags.Fin, 7, 9u)]
    [InlineData(TcpFlags.Ack | TcpFlags.Psh | TcpFlags.Rst | TcpFlags.Urg | TcpFlags.Ece | TcpFlags.Cwr, 5, 5u)]
    public void LengthCountsSynAndFin(TcpFlags flags, int payloadLength, uint expected)
    {
        var segment = new TcpSegment { Seq = new(uint.MaxValue), Flags = flags, PayloadLength = payloadLength };
        Assert.Equal(expected, segment.Length);
        Assert.Equal(new SeqNumber(uint.MaxValue) + expected, segment.End);
        Assert.True(segment.Has(flags));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(4)]
    [InlineData(6)]
    [InlineData(15)]
    public void DataOffsetOutsideThePacketIsRefused(int words)
    {
        byte[] bytes = SampleFrames.MakeTcp(SampleFrames.FourA, SampleFrames.FourB, default, []);
        Assert.True(TcpPacket.TryParse(bytes, out _));
        bytes[12] = (byte)(words << 4);
        Assert.False(TcpPacket.TryParse(bytes, out _));
    }

    [Fact]
    public void BareTimestampsTakeTheShortWayAndMeanTheSame()
    {
        byte[] aligned = [1, 1, 8, 10, 0xFF, 0xFE, 0xFD, 0xFC, 1, 2, 3, 4];
        byte[] otherwise = [8, 10, 0xFF, 0xFE, 0xFD, 0xFC, 1, 2, 3, 4, 1, 1];
        TcpOptions a = Parsed(false, aligned), b = Parsed(false, otherwise);
        Assert.True(a.HasTimestamps);
        Assert.Equal(0xFFFE_FDFCu, a.TsVal);
        Assert.Equal(0x0102_0304u, a.TsEcr);
        Assert.Equal(a, b);
        Assert.Equal(a, Parsed(true, aligned));
        Span<byte> written = stackalloc byte[12];
        Assert.Equal(12, a.WriteTo(written));
        Assert.Equal(aligned, written.ToArray());
    }

    [Fact]
    public void OptionsOfASynCountOnlyThere()
    {
        byte[] bytes = [2, 4, 5, 0xB4, 3, 3, 7, 4, 2, 34, 6, 1, 2, 3, 4, 0];
        TcpOptions syn = Parsed(true, bytes);
        Assert.Equal(1460, syn.Mss);
        Assert.Equal(7, syn.WindowScale.Shift);
        Assert.True(syn.SackPermitted && syn.HasMss && syn.HasWindowScale && syn.HasFastOpen);
        Assert.Equal((11, 4), (syn.FastOpenCookieOffset, syn.FastOpenCookieLength));
        Assert.Equal(default, Parsed(false, bytes));
        Assert.Equal(TcpOptionFlags.None, Parsed(false, bytes).Flags);
    }

    [Fact]
    public void SackBlocksOnASynAreIgnored()
    {
        byte[] bytes = [5, 10, 0, 0, 0, 1, 0, 0, 0, 9];
        Assert.Equal(0, Parsed(true, bytes).SackBlockCount);
        TcpOptions options = Parsed(false, bytes);
        Assert.Equal([new SackBlock(new(1), new(9))], options.SackBlocks.ToArray());
    }

    [Theory]
    [InlineData(14, 14)]
    [InlineData(15, 14)]
    [InlineData(255, 14)]
    public void ReceivedWindowScaleIsAtMostFourteen(byte given, byte kept) => Assert.Equal(kept, Parsed(true, 3, 3, given).WindowScale.Shift);

    [Theory]
    // RFC 9293 MUST-7: lengths of zero and one, beyond the end, and missing.
    [InlineData(new byte[] { 8, 0, 1, 1 })]
    [InlineData(new byte[] { 8, 1, 1, 1 })]
    [InlineData(new byte[] { 99, 5, 1, 1 })]
    [InlineData(new byte[] { 1, 1, 1, 2 })]
    [InlineData(new byte[] { 1, 1, 8, 10, 0, 0, 0, 0, 0, 0, 0 })]
    [InlineData(new byte[] { 255, 255, 255, 255 })]
    public void IllegalLengthEndsTheWalkAndIsReported(byte[] bytes)
    {
        Assert.False(TcpOptions.Parse(bytes, false, out TcpOptions options));
        Assert.Equal(default, options);
        Assert.False(TcpOptions.Parse(bytes, true, out _));
    }

    [Fact]
    public void WhatComesBeforeAnIllegalLengthIsKept()
    {
        Assert.False(TcpOptions.Parse([2, 4, 1, 0, 3, 3, 5, 8, 0], true, out TcpOptions options));
        Assert.Equal(256, options.Mss);
        Assert.Equal(5, options.WindowScale.Shift);
        Assert.False(options.HasTimestamps);
    }

    [Fact]
    public void UnknownOptionsAndWrongLengthsAreSkipped()
    {
        // An unknown one, an MSS of three bytes, timestamps of four, an odd SACK, then a good MSS.
        TcpOptions options = Parsed(true, 77, 3, 9, 2, 3, 1, 8, 4, 1, 1, 5, 3, 0, 34, 3, 1, 2, 4, 2, 0);
        Assert.Equal(512, options.Mss);
        Assert.Equal(TcpOptionFlags.Mss, options.Flags);
        Assert.Equal(0, Parsed(false, 5, 3, 0, 0).SackBlockCount);
    }

    [Fact]
    public void NothingIsReadBehindTheEndOfTheList()
    {
        Assert.Equal(default, Parsed(true, 0, 2, 4, 5, 0xB4));
        Assert.Equal(TcpOptionFlags.Mss, Parsed(true, 1, 2, 4, 5, 0xB4, 0, 8, 0).Flags);
    }

    [Fact]
    public void AuthenticationAndMultipathAreKnownByTheirPlace()
    {
        TcpOptions signed = Parsed(false, [1, 1, 19, 18, .. new byte[16]]);
        Assert.True(signed.HasMd5 && !signed.HasAuthentication);
        Assert.Equal((2, 18), (signed.AuthenticationOffset, signed.AuthenticationLength));
        TcpOptions authenticated = Parsed(true, [29, 16, 1, 2, .. new byte[12]]);
        Assert.True(authenticated.HasAuthentication && !authenticated.HasMd5);
        Assert.Equal((0, 16), (authenticated.AuthenticationOffset, authenticated.AuthenticationLength));
        TcpOptions multipath = Parsed(false, 1, 30, 4, 0x20, 0, 30, 3, 0x30);
        Assert.True(multipath.HasMptcp);
        Assert.Equal((1, 4), (multipath.MptcpOffset, multipath.MptcpLength));
    }

    [Fact]
    public void UserTimeoutIsInSecondsOrMinutes()
    {
        Assert.Equal(300, Parsed(false, 28, 4, 0x01, 0x2C).UserTimeoutSeconds);
        Assert.Equal(300, Parsed(false, 28, 4, 0x80, 0x05).UserTimeoutSeconds);
        Assert.Equal(0, Parsed(false).UserTimeoutSeconds);
    }

    [Fact]
    public void FifthSackBlockIsRefusedAndOnesThatDoNotFitAreLeftOut()
    {
        TcpOptions options = default;
        for (uint i = 0; i < 4; i++) Assert.True(options.TryAddSackBlock(new(new(i), new(i + 1))));
        Assert.False(options.TryAddSackBlock(new(new(9), new(10))));
        byte[] bytes = new byte[40];
        Assert.Equal(36, options.WriteTo(bytes));
        Assert.Equal(4, Parsed(false, bytes[..36]).SackBlockCount);
        options.SetTimestamps(1, 2);
        Assert.Equal(40, options.EncodedLength);
        Assert.Equal(40, options.WriteTo(bytes));
        Assert.Equal(3, Parsed(false, bytes).SackBlockCount);
    }

    [Fact]
    public void SumGivenWhileWritingIsTheSumOfTheBytes()
    {
        var random = new Random(11);
        byte[] bytes = new byte[TcpHeader.LengthMax];
        for (int i = 0; i < 2_000; i++)
        {
            TcpOptions options = default;
            if (i % 2 == 0) options.SetTimestamps((uint)random.NextInt64(1L << 32), (uint)random.NextInt64(1L << 32));
            if (i % 3 == 0) options.TryAddSackBlock(new SackBlock(new SeqNumber((uint)random.Next()), new SeqNumber((uint)random.Next())));
            if (i % 5 == 0) options.Mss = (ushort)random.Next(1 << 16);
            int length = TcpHeader.Write(
                bytes, (ushort)random.Next(1 << 16), (ushort)random.Next(1 << 16), new SeqNumber((uint)random.NextInt64(1L << 32)), new SeqNumber((uint)random.NextInt64(1L << 32)),
                (TcpFlags)random.Next(256), new UnscaledWindow((ushort)random.Next(1 << 16)), (ushort)random.Next(1 << 16), options, out uint sum);
            // Both may be either zero of ones' complement.
            Assert.Equal(InternetChecksum.Sum(bytes.AsSpan(0, length)) % 0xFFFF, sum % 0xFFFF);
        }
    }

    [Fact]
    public void HeaderChecksumOfIPv4IsGoodForAnyFields()
    {
        var random = new Random(12);
        byte[] bytes = new byte[IPv4Header.Length];
        for (int i = 0; i < 2_000; i++)
        {
            IPv4Header.Write(
                bytes, IpAddress.FromIPv4((uint)random.NextInt64(1L << 32)), IpAddress.FromIPv4((uint)random.NextInt64(1L << 32)), (byte)random.Next(256), random.Next(60_000),
                (byte)random.Next(256), (byte)random.Next(256), (ushort)random.Next(1 << 16), (IPv4Flags)random.Next(4), random.Next(8_000) * 8);
            Assert.True(InternetChecksum.IsValid(InternetChecksum.Sum(bytes)));
        }
    }

    [Fact(Skip = "exceptions cannot be thrown here", SkipUnless = nameof(Expect.CanThrow), SkipType = typeof(Expect))]
    public void WriterRefusesWhatDoesNotFit()
    {
        TcpOptions options = default;
        options.Mss = 1;
        options.SetTimestamps(1, 2);
        Assert.Throws<ArgumentException>(() => options.WriteTo(new byte[15]));
        options.WindowScale = default;
        options.UserTimeoutField = 1;
        options.SetFastOpen(16);
        Assert.Throws<ArgumentException>(() => options.WriteTo(new byte[80], new byte[16]));
        Assert.Throws<ArgumentOutOfRangeException>(() => options.SetFastOpen(5));
        Assert.Throws<ArgumentOutOfRangeException>(() => options.SetFastOpen(2));
        TcpOptions cookie = default;
        cookie.SetFastOpen(4);
        Assert.Throws<ArgumentException>(() => cookie.WriteTo(new byte[40], new byte[6]));
        Assert.Throws<ArgumentException>(() => TcpHeader.Write(new byte[19], 1, 2, default));
    }

    [Fact]
    public void OptionsAreBlittableAndSmall()
    {
        Assert.False(RuntimeHelpers.IsReferenceOrContainsReferences<TcpSegment>());
        Assert.InRange(Unsafe.SizeOf<TcpOptions>(), 1, 64);
    }

    [Fact]
    public void ParsingAndWritingAllocateNothing()
    {
        byte[] bytes = SampleFrames.Named("SACK").Bytes[34..];
        byte[] target = new byte[60];
        void Once()
        {
            if (!TcpPacket.TryParse(bytes, out TcpPacket packet) || !packet.ToSegment(out TcpSegment segment)) throw new InvalidOperationException();
            TcpHeader.Write(target, packet.SourcePort, packet.DestinationPort, segment);
        }

        for (int i = 0; i < 100; i++) Once();
        Assert.Equal(0, Allocation.Of(Once));
    }

    [Theory]
    // RFC 9768 §3.2.3, table 5 and the rule for other lengths: whole fields that fit, in either order.
    [InlineData("AC 02", 0, 0, 0u, 0u, 0u, "accecn0")]
    [InlineData("AC 05 000001", 0, 1, 1u, 0u, 0u, "accecn0 e0b 1")]
    [InlineData("AC 08 000001 000002", 0, 2, 1u, 2u, 0u, "accecn0 e0b 1 ceb 2")]
    [InlineData("AC 0B 000001 000002 FFFFFF", 0, 3, 1u, 2u, 0xFFFFFFu, "accecn0 e0b 1 ceb 2 e1b 16777215")]
    [InlineData("AE 05 000001", 1, 1, 0u, 0u, 1u, "accecn1 e1b 1")]
    [InlineData("AE 0B 000001 000002 000003", 1, 3, 3u, 2u, 1u, "accecn1 e0b 3 ceb 2 e1b 1")]
    [InlineData("AC 07 000001 0000", 0, 1, 1u, 0u, 0u, "accecn0 e0b 1")]
    [InlineData("AE 0E 000001 000002 000003 000004", 1, 3, 3u, 2u, 1u, "accecn1 e0b 3 ceb 2 e1b 1")]
    public void AccurateEcnOptionsOfAllLengthsAreRead(string hex, int order, int count, uint ect0, uint ce, uint ect1, string printed)
    {
        byte[] bytes = Convert.FromHexString(hex.Replace(" ", "", StringComparison.Ordinal));
        Assert.True(TcpOptions.Parse(bytes, isSyn: false, out TcpOptions options));
        Assert.True(options.HasAccurateEcn);
        Assert.Equal(new AccurateEcnOption(order, count, ect0, ce, ect1), options.AccurateEcn);
        byte[] written = new byte[TcpOptions.LengthMax];
        int length = options.WriteTo(written);
        Assert.True(TcpOptions.Parse(written.AsSpan(0, length), isSyn: false, out TcpOptions again));
        Assert.Equal(options, again);
        var segment = new TcpSegment { Flags = TcpFlags.Ack | TcpFlags.Ae, Options = options };
        string text = FramePrinter.Print(SampleFrames.OverIPv4(IpProtocol.Tcp, SampleFrames.MakeTcp(SampleFrames.FourA, SampleFrames.FourB, segment, [])));
        Assert.Contains("Flags [.e]", text, StringComparison.Ordinal);
        Assert.Contains(printed, text, StringComparison.Ordinal);
    }
}
