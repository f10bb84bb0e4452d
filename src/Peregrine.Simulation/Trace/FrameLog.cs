// The last frames of a world as lines, for a failure's report; and all of them, for a trace. Frames are printed when somebody asks.
using System.Globalization;
using System.Text;
using Peregrine.Core.Time;
using Peregrine.Simulation.Links;
using Peregrine.Wire;

namespace Peregrine.Simulation.Trace;

/// <summary>Keeps the last frames of a world.</summary>
/// <param name="capacity">How many.</param>
public sealed class FrameLog(int capacity = 40) : IFrameObserver
{
    private readonly Entry[] _entries = new Entry[Math.Max(1, capacity)];
    private long _count;

    private struct Entry
    {
        public Instant Time;
        public LinkLane Lane;
        public byte[] Bytes;
        public FrameFate Fate;
    }

    /// <inheritdoc/>
    public void OnFrame(Instant time, LinkLane lane, ReadOnlySpan<byte> frame, FrameFate fate)
    {
        ref var entry = ref _entries[(int)(_count++ % _entries.Length)];
        entry = new Entry { Time = time, Lane = lane, Bytes = frame.ToArray(), Fate = fate };
    }

    /// <summary>A frame as one line: time, way, what it is, and what became of it.</summary>
    public static string Line(Instant time, LinkLane lane, ReadOnlySpan<byte> frame, FrameFate fate)
    {
        ArgumentNullException.ThrowIfNull(lane);
        Span<char> text = stackalloc char[FramePrinter.LineLengthMax];
        var n = FramePrinter.Print(frame, text);
        var note = fate == FrameFate.Arrived ? "" : " *" + fate.ToString().ToLowerInvariant() + "*";
        return string.Create(CultureInfo.InvariantCulture, $"{time} {lane.Name,-12} {text[..n]}{note}");
    }

    /// <summary>The frames that are kept, one a line.</summary>
    public override string ToString()
    {
        var text = new StringBuilder();
        for (var i = Math.Max(0, _count - _entries.Length); i < _count; i++)
        {
            ref var entry = ref _entries[(int)(i % _entries.Length)];
            text.AppendLine(Line(entry.Time, entry.Lane, entry.Bytes, entry.Fate));
        }
        return text.ToString();
    }
}
