// A world's frames as a pcapng file with virtual times, that Wireshark opens: one interface a link, drops with a comment.
using Peregrine.Core.Time;
using Peregrine.Simulation.Links;
using Peregrine.Wire;

namespace Peregrine.Simulation.Trace;

/// <summary>Writes the frames of a world to a capture. Dispose of it after the run.</summary>
public sealed class FrameCapture : IFrameObserver, IDisposable
{
    private readonly PcapngWriter _writer;
    private readonly Dictionary<SimulatedLink, int> _interfaces = [];

    /// <summary>Begins a capture.</summary>
    /// <param name="stream">Where to write; it is closed at the end.</param>
    /// <param name="comment">A comment on the whole: seed and faults.</param>
    public FrameCapture(Stream stream, string comment) => _writer = new PcapngWriter(stream, "Peregrine simulation", comment);

    /// <inheritdoc/>
    public void OnFrame(Instant time, LinkLane lane, ReadOnlySpan<byte> frame, FrameFate fate)
    {
        ArgumentNullException.ThrowIfNull(lane);
        if (!_interfaces.TryGetValue(lane.Link, out var number))
        {
            number = _writer.AddInterface(lane.Link.Name);
            _interfaces.Add(lane.Link, number);
        }
        var direction = lane == lane.Link.AtoB ? CaptureDirection.Outbound : CaptureDirection.Inbound;
        _writer.WriteFrame(number, (ulong)time.Nanoseconds, frame, direction, fate == FrameFate.Arrived ? "" : fate.ToString());
    }

    /// <summary>Writes what is buffered and closes the stream.</summary>
    public void Dispose() => _writer.Dispose();
}
