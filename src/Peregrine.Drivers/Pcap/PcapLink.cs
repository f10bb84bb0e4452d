// A capture as a link: what was recorded comes in, what is sent goes into another capture or nowhere. For looking again at what happened once,
// and for feeding a stack with traffic of elsewhere. The control side.
using Peregrine.Core.Links;
using Peregrine.Core.Memory;
using Peregrine.Wire;

namespace Peregrine.Drivers.Pcap;

/// <summary>
/// Replays a pcapng or pcap file and records what is sent. One queue; files are read and written on its thread. At the capture's end the link
/// stays up and silent.
/// </summary>
public sealed class PcapLink : ILink
{
    private readonly PcapOptions _options;
    private readonly PcapReplay _replay;
    private readonly PcapngWriter? _output;
    private readonly PcapQueue?[] _queues = new PcapQueue?[1];
    private bool _disposed;

    private PcapLink(string path, PcapOptions options)
    {
        (Name, _options) = (Path.GetFileName(path), options);
        _replay = new PcapReplay(path, options.IncludeSent);
        MacAddress = Medium == LinkMedium.Ethernet ? options.MacAddress ?? _replay.MacAddress ?? new MacAddress(0x0200_0000_0001) : default;
        try
        {
            if (options.OutputPath is { } output) _output = OpenOutput(path, output);
        }
        catch
        {
            _replay.Dispose();
            throw;
        }
    }

    /// <summary>The capture's name without its folder.</summary>
    public string Name { get; }

    /// <summary>As the first frame of the capture.</summary>
    public LinkMedium Medium => _replay.Medium;

    /// <inheritdoc/>
    public MacAddress MacAddress { get; }

    /// <inheritdoc/>
    public int Mtu => _options.Mtu;

    /// <inheritdoc/>
    public LinkOffloads Offloads => _options.UnfinishedChecksums ? LinkOffloads.ReceiveUnfinished : LinkOffloads.None;

    /// <inheritdoc/>
    public int SuperSegmentMax => 0;

    /// <inheritdoc/>
    public int QueueCount => _queues.Length;

    /// <summary>Whether the link is open.</summary>
    public bool IsUp => !_disposed;

    /// <summary>Opens a capture.</summary>
    /// <param name="path">A pcapng or pcap file.</param>
    /// <param name="options">How; null for the defaults.</param>
    /// <exception cref="ArgumentException">An option is out of its range.</exception>
    /// <exception cref="IOException">There is no such capture, it has no frame to be received, or the output cannot be made.</exception>
    /// <exception cref="UnauthorizedAccessException">A file may not be read or made.</exception>
    public static PcapLink Open(string path, PcapOptions? options = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        options ??= new PcapOptions();
        if (options.Mtu is < 68 or > 65_535) throw new ArgumentException($"The MTU {options.Mtu} is not in the range 68 to 65535.", nameof(options));
        return new PcapLink(path, options);
    }

    /// <inheritdoc/>
    public ILinkQueue OpenQueue(int index, FramePool frames)
    {
        QueueGuard.Check(Name, _queues, index, frames);
        return _queues[0] = new PcapQueue(_replay, _output, frames, _options);
    }

    /// <summary>Closes both captures. Call when its engine no longer runs.</summary>
    public void Dispose()
    {
        if (_disposed) return;
        _disposed = true;
        _queues[0]?.Dispose();
        _replay.Dispose();
        try
        {
            _output?.Dispose();
        }
        catch (IOException)
        {
            // The disk is full or gone, which the queue has said.
        }
    }

    private PcapngWriter OpenOutput(string input, string output)
    {
        if (Path.GetFullPath(input) == Path.GetFullPath(output)) throw new IOException($"'{output}' is what is replayed: name another file for what is sent");
        var writer = new PcapngWriter(new FileStream(output, FileMode.Create, FileAccess.Write, FileShare.Read));
        var isEthernet = Medium == LinkMedium.Ethernet;
        writer.AddInterface(Name, isEthernet ? CaptureLinkType.Ethernet : CaptureLinkType.RawIp, mac: isEthernet ? MacAddress : null);
        return writer;
    }
}
