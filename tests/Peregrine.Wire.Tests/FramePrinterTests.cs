using System.Buffers;
using System.Diagnostics;
using System.Text;

namespace Peregrine.Wire.Tests;

public class FramePrinterTests
{
    public static TheoryData<string> Names => SampleFrames.Names;

    [Theory]
    [MemberData(nameof(Names))]
    public void FramePrintsAsItsLine(string name)
    {
        SampleFrame sample = SampleFrames.Named(name);
        Assert.Equal(sample.Line, FramePrinter.Print(sample.Bytes));
        var builder = new StringBuilder("> ");
        FramePrinter.Print(sample.Bytes, builder);
        Assert.Equal("> " + sample.Line, builder.ToString());
        var buffer = new ArrayBufferWriter<char>();
        FramePrinter.Print(sample.Bytes, buffer);
        Assert.Equal(sample.Line, buffer.WrittenSpan.ToString());
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void EveryShorterDestinationGetsTheBeginning(string name)
    {
        SampleFrame sample = SampleFrames.Named(name);
        char[] room = new char[sample.Line.Length + 5];
        for (int length = 0; length <= room.Length; length++)
        {
            int written = FramePrinter.Print(sample.Bytes, room.AsSpan(0, length));
            Assert.True(written <= length);
            // A number or address that does not fit is left out whole, so what follows it may come up: only full room must be exact.
            if (length >= sample.Line.Length) Assert.Equal(sample.Line, room.AsSpan(0, written).ToString());
        }
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void WritersMakeChecksumsThatThePrinterFindsRight(string name)
    {
        SampleFrame sample = SampleFrames.Named(name);
        Assert.DoesNotContain("cksum", FramePrinter.Print(sample.Bytes, FramePrinterOptions.Checksums));
    }

    [Theory]
    [InlineData("UDP", "bad udp cksum")]
    [InlineData("SYN", "bad tcp cksum")]
    [InlineData("Echo request", "bad icmp cksum")]
    [InlineData("IPv6 echo request", "bad icmp6 cksum")]
    public void WrongChecksumIsNotedWhenAskedFor(string name, string note)
    {
        byte[] bytes = [.. SampleFrames.Named(name).Bytes];
        bytes[^1] ^= 1;
        Assert.EndsWith(note, FramePrinter.Print(bytes, FramePrinterOptions.Checksums));
        Assert.DoesNotContain(note, FramePrinter.Print(bytes));
    }

    [Fact]
    public void WrongHeaderChecksumIsNoted()
    {
        byte[] bytes = [.. SampleFrames.Named("UDP").Bytes];
        bytes[14 + 8] ^= 1;
        Assert.EndsWith("bad ip cksum", FramePrinter.Print(bytes, FramePrinterOptions.Checksums));
    }

    [Fact]
    public void LinkHeaderStandsInFrontWhenAskedFor()
    {
        Assert.Equal(
            "02:00:00:00:00:0a > 02:00:00:00:00:0b, ethertype ARP (0x0806), length 42: " + SampleFrames.Named("ARP request").Line,
            FramePrinter.Print(SampleFrames.Named("ARP request").Bytes, FramePrinterOptions.LinkHeader));
        Assert.StartsWith(
            "02:00:00:00:00:0a > 02:00:00:00:00:0b, ethertype 802.1Q (0x8100), length 65: vlan 5, p 3, ",
            FramePrinter.Print(SampleFrames.Named("802.1Q").Bytes, FramePrinterOptions.LinkHeader));
    }

    [Fact]
    public void PacketWithoutLinkHeaderPrintsAlike()
    {
        SampleFrame sample = SampleFrames.Named("SYN");
        Span<char> line = stackalloc char[FramePrinter.LineLengthMax];
        int written = FramePrinter.PrintPacket(sample.Bytes.AsSpan(EthernetHeader.Length), line);
        Assert.Equal(sample.Line, line[..written].ToString());
    }

    [Fact]
    public void TruncatedPacketSaysHowMuchIsMissing()
    {
        Assert.Equal(
            "IP truncated-ip - 5 bytes missing! 192.0.2.1 > 198.51.100.2", FramePrinter.Print(SampleFrames.Named("UDP").Bytes.AsSpan()[..^5]));
        Assert.Equal(
            "IP6 truncated-ip6 - 5 bytes missing! 2001:db8::a > 2001:db8:1::b",
            FramePrinter.Print(SampleFrames.Named("UDP over IPv6").Bytes.AsSpan()[..^5]));
        Assert.Equal("[|ether], length 13", FramePrinter.Print(new byte[13]));
        Assert.Equal("802.3, length 0", FramePrinter.Print(new byte[14]));
        Assert.Equal("[|ip], length 3", FramePrinter.Print(SampleFrames.Named("UDP").Bytes.AsSpan(0, 17)));
    }

    [Fact]
    public void UnknownAndMalformedTcpOptionsAreShownAsTheyStand()
    {
        byte[] tcp = SampleFrames.MakeTcp(SampleFrames.FourA, SampleFrames.FourB, new() { Flags = TcpFlags.Ack }, []);
        string Print(params byte[] options)
        {
            byte[] whole = [.. tcp, .. options];
            whole[12] = (byte)(whole.Length << 2);
            return FramePrinter.Print(SampleFrames.OverIPv4(IpProtocol.Tcp, whole));
        }

        Assert.Contains("options [nop,unknown-99 0xabcd,nop,nop,eol],", Print(1, 99, 4, 0xAB, 0xCD, 1, 1, 0));
        Assert.Contains("options [[bad opt]],", Print(8, 0, 1, 1));
        Assert.Contains("options [nop,nop,nop,[bad opt]],", Print(1, 1, 1, 8));
        Assert.Contains("options [mptcp subtype 2],", Print(30, 4, 0x20, 0));
        Assert.Contains("options [tcp-ao keyid 1 rnextkeyid 2],", Print(29, 4, 1, 2));
    }

    [Fact]
    public void PrintingIntoASpanAllocatesNothing()
    {
        char[] line = new char[FramePrinter.LineLengthMax];
        SampleFrame[] samples = [.. SampleFrames.All];
        void PrintAll()
        {
            foreach (SampleFrame sample in samples) FramePrinter.Print(sample.Bytes, line, FramePrinterOptions.LinkHeader | FramePrinterOptions.Checksums);
        }

        for (int i = 0; i < 50; i++) PrintAll();
        Assert.Equal(0, Allocation.Of(PrintAll));
    }

    [Fact(Skip = "tcpdump is not installed", SkipUnless = nameof(ExternalTool.HasTcpdump), SkipType = typeof(ExternalTool))]
    public void LinesAreThoseOfTcpdump()
    {
        List<SampleFrame> samples = [.. SampleFrames.All.Where(sample => sample.LikeTcpdump)];
        using TemporaryCapture capture = TemporaryCapture.Of(samples);
        string[] lines = ExternalTool.Run("tcpdump", "-n", "-S", "-t", "-r", capture.Path);
        Assert.Equal(samples.Select(sample => sample.Line), lines);
    }
}

/// <summary>Bytes that an action allocates on this thread: the least of several runs, as the runtime may allocate beside it.</summary>
internal static class Allocation
{
    public static long Of(Action action)
    {
        long least = long.MaxValue;
        for (int i = 0; i < 10; i++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            action();
            least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
        }

        return least;
    }
}

/// <summary>Programs of the machine that read what we write; tests say so when one is missing.</summary>
internal static class ExternalTool
{
    public static bool HasTcpdump => Exists("tcpdump");

    public static bool HasTshark => Exists("tshark");

    public static bool HasCapinfos => Exists("capinfos");

    private static bool Exists(string name) =>
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Any(folder => File.Exists(Path.Combine(folder, name)));

    public static string[] Run(string name, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(name, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        Task<string> errors = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.True(process.ExitCode == 0, $"{name} failed: {errors.Result}");
        return output.TrimEnd('\n').Split('\n');
    }
}

/// <summary>A capture file of sample frames, deleted at the end.</summary>
internal sealed class TemporaryCapture : IDisposable
{
    private TemporaryCapture(string path) => Path = path;

    public string Path { get; }

    public static TemporaryCapture Of(IEnumerable<SampleFrame> samples)
    {
        string path = System.IO.Path.GetTempFileName();
        using var writer = new PcapngWriter(File.Create(path), comment: "sample frames");
        writer.AddInterface("tap0", description: "the link", mac: SampleFrames.MacA, bitsPerSecond: 1_000_000_000);
        ulong time = 1_700_000_000_123_456_789;
        foreach (SampleFrame sample in samples) writer.WriteFrame(0, time += 1001, sample.Bytes, CaptureDirection.Outbound, sample.Name);
        writer.WriteStatistics(0, time, (ulong)writer.FrameCount + 2, 2);
        return new TemporaryCapture(path);
    }

    public void Dispose() => File.Delete(Path);
}
