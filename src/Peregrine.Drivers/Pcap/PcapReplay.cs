// The frames of a capture that a replay hands out, in order, each with its time since the first one. Reads; does not wait and knows no clock.
using Peregrine.Core.Links;
using Peregrine.Core.Memory;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Drivers.Pcap;

internal sealed unsafe class PcapReplay : IDisposable
{
    private const int FrameLengthMax = ushort.MaxValue + 22;

    private readonly CaptureReader _reader;
    private readonly bool _includeSent;
    private readonly ushort _linkType;
    private readonly byte[] _next = new byte[FrameLengthMax];
    private readonly ulong _firstNs;
    private int _length;

    /// <summary>Reads up to the first frame, whose interface says what the link is like.</summary>
    /// <exception cref="IOException">There is no such file, or no frame in it that could be received.</exception>
    public PcapReplay(string path, bool includeSent)
    {
        _includeSent = includeSent;
        _reader = new CaptureReader(OpenFile(path));
        try
        {
            if (!TryRead(out var interfaceId, out _firstNs))
                throw new IOException($"'{path}' has no frame to be received{(_reader.Error is { } error ? ": " + error : includeSent ? "" : "; 'sent' takes those that were sent too")}");
            var recorded = _reader.Interfaces[interfaceId];
            _linkType = recorded.LinkType;
            (Medium, MacAddress) = (MediumOf(path, recorded.LinkType), recorded.Mac);
        }
        catch
        {
            _reader.Dispose();
            throw;
        }
    }

    /// <summary>With or without Ethernet headers.</summary>
    public LinkMedium Medium { get; }

    /// <summary>The recorded interface's address, where the capture says it.</summary>
    public MacAddress? MacAddress { get; }

    /// <summary>Whether a frame is at hand.</summary>
    public bool HasFrame => _length > 0;

    /// <summary>When the frame at hand was recorded, since the first one; never less than for one before it, for clocks are set back.</summary>
    public Duration Offset { get; private set; }

    /// <summary>Frames that cannot be received: cut off by whoever recorded them, too long, or of another kind of link.</summary>
    public long SkippedCount { get; private set; }

    /// <summary>What is wrong with the file, where the reading ended for that.</summary>
    public string? Error => _reader.Error;

    /// <summary>Makes a frame of the one at hand and goes on to the next. False when memory is short; then it stays at hand.</summary>
    public bool TryTake(FramePool frames, out Frame frame)
    {
        var assembly = new FrameAssembly(frames);
        fixed (byte* bytes = _next) assembly.Append(bytes, _length);
        frame = assembly.Frame;
        if (assembly.IsShort)
        {
            assembly.Abandon();
            return false;
        }
        if (Medium == LinkMedium.Ethernet && (_next[0] & 1) != 0) frame.Flags |= FrameFlags.Broadcast;
        if (!TryRead(out _, out var timeNs)) _length = 0;
        else if (timeNs > _firstNs) Offset = Duration.Max(Offset, new Duration((long)Math.Min(timeNs - _firstNs, long.MaxValue)));
        return true;
    }

    public void Dispose()
    {
        _length = 0;
        _reader.Dispose();
    }

    /// <summary>Reads up to the next frame that can be received.</summary>
    private bool TryRead(out int interfaceId, out ulong timeNs)
    {
        while (_reader.TryReadFrame(out var read))
        {
            if (read.Direction == CaptureDirection.Outbound && !_includeSent) continue;
            var type = _reader.Interfaces[read.InterfaceId].LinkType;
            if (read.Bytes.IsEmpty || read.Bytes.Length != read.OriginalLength || read.Bytes.Length > FrameLengthMax || (_length > 0 && type != _linkType))
            {
                SkippedCount++;
                continue;
            }
            read.Bytes.CopyTo(_next);
            (_length, interfaceId, timeNs) = (read.Bytes.Length, read.InterfaceId, read.TimeNs);
            return true;
        }
        (interfaceId, timeNs) = (0, 0);
        return false;
    }

    private static FileStream OpenFile(string path)
    {
        try
        {
            return new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite, bufferSize: 1 << 16);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new FileNotFoundException($"there is no capture '{path}'", path, e);
        }
    }

    private static LinkMedium MediumOf(string path, ushort linkType) => linkType switch
    {
        CaptureLinkType.Ethernet => LinkMedium.Ethernet,
        CaptureLinkType.RawIp => LinkMedium.Ip,
        _ => throw new IOException($"'{path}' was recorded on a link of type {linkType}; Ethernet (1) and IP (101) can be replayed"),
    };
}
