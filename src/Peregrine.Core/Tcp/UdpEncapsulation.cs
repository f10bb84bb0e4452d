// TCP inside UDP datagrams, as FreeBSD has it (net.inet.tcp.udp_tunneling_port): a segment comes and goes behind a UDP header between our
// tunnel port and a port of the peer's. Which connections do so is kept by the hash of their addresses and ports, and only while there are
// any: others never pay. UDP's checksum stands for TCP's, whose field is zero.
using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Peregrine.Core.Demux;
using Peregrine.Core.Ip;
using Peregrine.Core.Memory;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp;

internal sealed class UdpEncapsulation(DemuxTable demux, FramePool frames, TcpDemuxKeys keys)
{
    private const int SweepCountMin = 64;
    private const int OverheadMax = 1_024;

    private readonly DemuxTable _demux = demux;
    private readonly FramePool _frames = frames;
    private TcpDemuxKeys _keys = keys;
    private readonly Dictionary<ulong, Tuple> _tuples = [];

    private readonly record struct Tuple(ushort Port, FourTupleKey Key);

    private readonly record struct FourTupleKey(IpAddress Local, ushort LocalPort, IpAddress Remote, ushort RemotePort);

    /// <summary>Our UDP port; 0 for none.</summary>
    internal ushort LocalPort { get; set; }

    /// <summary>Bytes that the encapsulation is reckoned to take from a packet.</summary>
    /// <exception cref="ArgumentOutOfRangeException">It is out of range.</exception>
    internal int Overhead
    {
        get;
        set
        {
            if (value is < UdpHeader.Length or > OverheadMax)
                throw new ArgumentOutOfRangeException(nameof(value), value, $"UdpTunnelOverheadBytes must be {UdpHeader.Length} to {OverheadMax} bytes.");
            field = value;
        }
    } = UdpHeader.Length;

    /// <summary>The peer's UDP port of a connection, half-open or waiting ones included; 0 without encapsulation.</summary>
    internal ushort PortOf(in IpAddress local, ushort localPort, in IpAddress remote, ushort remotePort) =>
        _tuples.Count == 0 ? (ushort)0 : PortOf(_demux.Hash(local, localPort, remote, remotePort));

    /// <summary>The same of a connection.</summary>
    internal ushort PortOf(in Tcb c) => PortOf(c.Local, c.LocalPort, c.Remote, c.RemotePort);

    /// <summary>The same by the tuple's hash.</summary>
    internal ushort PortOf(ulong hash) => _tuples.TryGetValue(hash, out var tuple) ? tuple.Port : (ushort)0;

    /// <summary>Bytes that the encapsulation takes from each of a connection's packets.</summary>
    internal int OverheadOf(in Tcb c) => PortOf(c) != 0 ? Overhead : 0;

    /// <summary>A connection begins: its segments go to that UDP port, or to none.</summary>
    internal void Note(ulong hash, ushort port, in IpAddress local, ushort localPort, in IpAddress remote, ushort remotePort)
    {
        if (port == 0)
        {
            _tuples.Remove(hash);
            return;
        }
        if (_tuples.Count >= SweepCountMin + 2 * _demux.Count) Sweep();
        _tuples[hash] = new Tuple(port, new FourTupleKey(local, localPort, remote, remotePort));
    }

    // What has ended is forgotten now and then: it means nothing, for a new connection of the same tuple says for itself.
    private void Sweep()
    {
        foreach (var (hash, tuple) in _tuples)
        {
            var k = tuple.Key;
            if (!_demux.TryFind(hash, k.Local, k.LocalPort, k.Remote, k.RemotePort, ref _keys, out _, out _)) _tuples.Remove(hash);
        }
    }

    /// <summary>A datagram to our port becomes the segment that is in it; others stay as they are.</summary>
    internal void Unwrap(ref ReceivedPacket packet)
    {
        if (packet.Protocol != IpProtocol.Udp || packet.TransportLength < UdpHeader.Length + TcpHeader.Length || packet.IsGroup) return;
        if (packet.TransportOffset + UdpHeader.Length + TcpHeader.Length > packet.Frame.HeadLength) return;
        var head = _frames.Head(packet.Frame)[packet.TransportOffset..];
        if (BinaryPrimitives.ReadUInt16BigEndian(head[2..]) != LocalPort) return;
        var length = BinaryPrimitives.ReadUInt16BigEndian(head[4..]);
        if (length < UdpHeader.Length + TcpHeader.Length || length > packet.TransportLength || !IsChecksumGood(packet, head, length)) return;
        packet.EncapsulationPort = BinaryPrimitives.ReadUInt16BigEndian(head);
        packet.Protocol = IpProtocol.Tcp;
        packet.TransportOffset += UdpHeader.Length;
        packet.TransportLength = length - UdpHeader.Length;
        packet.ChecksumGood = true;
    }

    private bool IsChecksumGood(in ReceivedPacket packet, ReadOnlySpan<byte> header, int length)
    {
        // RFC 768: no checksum. RFC 8200 §8.1: not over IPv6.
        if (BinaryPrimitives.ReadUInt16BigEndian(header[UdpHeader.ChecksumOffset..]) == 0) return packet.Source.IsIPv4;
        if (packet.ChecksumGood) return true;
        var pseudo = InternetChecksum.PseudoHeader(packet.Source, packet.Destination, IpProtocol.Udp, length);
        return InternetChecksum.IsValid(_frames.Sum(packet.Frame, packet.TransportOffset, length, pseudo));
    }

    /// <summary>Puts the UDP header before a segment; false when the frame has no room.</summary>
    internal bool TryWrap(ref Frame frame, in IpAddress local, in IpAddress remote, ushort port)
    {
        _frames.Head(frame).Slice(TcpHeader.ChecksumOffset, 2).Clear();
        var length = frame.Length;
        if (!_frames.TryPrepend(ref frame, UdpHeader.Length, out var header)) return false;
        UdpHeader.Write(header, LocalPort, port, length);
        header.Slice(UdpHeader.ChecksumOffset, 2).Clear();
        var pseudo = InternetChecksum.PseudoHeader(local, remote, IpProtocol.Udp, frame.Length);
        MemoryMarshal.Write(header[UdpHeader.ChecksumOffset..], InternetChecksum.FinishUdp(_frames.Sum(frame, 0, frame.Length, pseudo)));
        return true;
    }
}
