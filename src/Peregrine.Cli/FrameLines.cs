// Captured frames as lines for people: time since the first, direction, and what tcpdump would print.
using System.Globalization;
using Peregrine.Wire;

namespace Peregrine.Cli;

internal static class FrameLines
{
    /// <summary>One captured frame.</summary>
    internal readonly record struct Line(ulong TimeNs, string Arrow, string Text);

    /// <summary>Reads a capture to its end.</summary>
    internal static List<Line> Read(byte[] capture)
    {
        using var reader = new CaptureReader(new MemoryStream(capture));
        var lines = new List<Line>();
        while (reader.TryReadFrame(out var frame)) lines.Add(Print(frame, reader));
        return lines;
    }

    /// <summary>Prints the frame that a reader has just read.</summary>
    internal static Line Print(in CapturedFrame frame, CaptureReader reader)
    {
        var ethernet = reader.Interfaces[frame.InterfaceId].LinkType == CaptureLinkType.Ethernet;
        Span<char> text = stackalloc char[FramePrinter.LineLengthMax];
        var n = ethernet ? FramePrinter.Print(frame.Bytes, text) : FramePrinter.PrintPacket(frame.Bytes, text);
        var arrow = frame.Direction switch
        {
            CaptureDirection.Inbound => "->",
            CaptureDirection.Outbound => "<-",
            _ => "  ",
        };
        return new Line(frame.TimeNs, arrow, new string(text[..n]));
    }

    internal static string Format(in Line line, ulong firstNs) =>
        string.Create(CultureInfo.InvariantCulture, $"{(line.TimeNs - firstNs) / 1e6,9:F3} ms {line.Arrow} {line.Text}");

    internal static ulong UnixNanoseconds() => (ulong)(DateTime.UtcNow - DateTime.UnixEpoch).Ticks * 100;
}
