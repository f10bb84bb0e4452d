// The PSP Security Protocol (Google's PSP Architecture Specification, version 0) for TCP connections: segments as cipher text in UDP datagrams.
// What is taken and sent when is as the Linux kernel's documentation has it (networking/psp): a connection that was given our key takes both,
// one that was given the peer's key as well sends secured, except for what it was given to send before, and takes no clear text but what the
// peer may have sent before it had its key. Null until somebody wants it; then nothing in this stack takes a short way, and others only look
// whether there are associations at all.
using System.Buffers.Binary;
using System.Net.Sockets;
using Peregrine.Core.Demux;
using Peregrine.Core.Ip;
using Peregrine.Core.Memory;
using Peregrine.Core.Tcp.Authentication;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp.Psp;

/// <summary>PSP's associations of a stack's connections.</summary>
public sealed class PspLayer
{
    /// <summary>The UDP port that PSP has by its specification.</summary>
    public const int DefaultPort = 1000;

    private const int SweepCountMin = 64;

    // The first bit of an SPI says which device key is meant; there is one.
    private const uint SpiMax = 0x7FFF_FFFF;
    private const int SackBlocksMax = 32;

    private readonly TcpContext _x;
    private readonly UInt128 _deviceKey;
    private readonly Dictionary<ulong, PspAssociation> _associations = [];
    private readonly Dictionary<uint, PspAssociation> _bySpi = [];

    // Cipher and clear text in one piece; a datagram is no longer.
    private readonly byte[] _scratch = new byte[ushort.MaxValue];
    private readonly byte[] _proof = new byte[ushort.MaxValue];
    private TcpDemuxKeys _keys;
    private uint _lastSpi;

    // One for all connections: GCM is broken by an IV that repeats under a key, and nobody can say whether a peer's key is given to two of them.
    private ulong _lastIv;

    internal PspLayer(TcpContext context, UInt128 deviceKey, int port)
    {
        (_x, _deviceKey, Port) = (context, deviceKey, port);
        _keys = new TcpDemuxKeys(context.Tcbs, context.TimeWaits, context.SynBacklog);
    }

    /// <summary>The UDP port, of both sides.</summary>
    public int Port { get; }

    /// <summary>How many connections have a key.</summary>
    public int AssociationCount => _associations.Count;

    /// <summary>Makes the key with which the peer is to secure what it sends; from now on the connection takes that beside clear text (rx-assoc).</summary>
    /// <param name="connection">A connection after its handshake.</param>
    /// <param name="key">The key, which the peer has to be told in secrecy.</param>
    /// <returns>Success; NotConnected; IsConnected when it has one; OperationNotSupported in a UDP tunnel; NoBufferSpaceAvailable when there are no more numbers.</returns>
    public SocketError AssociateReceive(TcpHandle connection, out PspKey key)
    {
        key = default;
        if (!TryGet(connection, out var t)) return SocketError.NotConnected;
        ref var c = ref t.C;
        var hash = _x.Demux.Hash(c.Local, c.LocalPort, c.Remote, c.RemotePort);
        if (_associations.ContainsKey(hash)) return SocketError.IsConnected;
        if (_x.Encapsulation.PortOf(hash) != 0) return SocketError.OperationNotSupported;
        if (_lastSpi == SpiMax) return SocketError.NoBufferSpaceAvailable;
        if (_associations.Count >= SweepCountMin + 2 * _x.Demux.Count) Sweep();
        key = new PspKey(++_lastSpi, Derive(_lastSpi));
        var association = new PspAssociation(key, c.LocalEndpoint, c.RemoteEndpoint) { ReceivedClearEnd = ReceivedEnd(t) };
        (_associations[hash], _bySpi[key.Spi]) = (association, association);
        return SocketError.Success;
    }

    /// <summary>Takes the peer's key: what is given to the connection from now on goes secured, and what can be read from now on came secured (tx-assoc).</summary>
    /// <param name="connection">A connection that has a key of ours.</param>
    /// <param name="key">The peer's.</param>
    /// <param name="now">The time.</param>
    /// <returns>
    /// Success; NotConnected; InvalidArgument without a key of ours, or with a number of 0; IsConnected when it has one; TryAgain while clear text waits to be read or for what
    /// comes before it.
    /// </returns>
    public SocketError AssociateTransmit(TcpHandle connection, in PspKey key, Instant now)
    {
        if (!TryGet(connection, out var t)) return SocketError.NotConnected;
        ref var c = ref t.C;
        if (key.Spi == 0 || Of(c.Local, c.LocalPort, c.Remote, c.RemotePort) is not { } association) return SocketError.InvalidArgument;
        if (association.Transmits) return SocketError.IsConnected;
        var firstUnread = c.Rcv.Nxt - (uint)c.ReceiveQueue.Length;
        var waits = firstUnread != c.Rcv.Nxt || t.K.OutOfOrder.HasIntervals || (c.Flags & TcbFlags.FinWaiting) != 0;
        if (waits && association.ReceivedClearEnd.IsAfter(firstUnread)) return SocketError.TryAgain;
        association.Begin(key, c.Snd.QueueEnd, c.Rcv.Nxt);
        // What is in flight went without what PSP takes.
        TcpHandshake.RefreshMss(_x, t, hasFitted: true);
        return SocketError.Success;
    }

    private bool TryGet(TcpHandle connection, out TcbRef t)
    {
        t = default;
        if (!_x.Tcbs.IsLive(connection)) return false;
        t = _x.Tcbs.Get(connection.Index);
        return t.C.State is not (TcpState.Closed or TcpState.SynSent or TcpState.SynReceived);
    }

    // Behind everything that has come so far, all of it in clear text.
    private SeqNumber ReceivedEnd(TcbRef t)
    {
        Span<SackBlock> blocks = stackalloc SackBlock[SackBlocksMax];
        var end = (t.C.Flags & TcbFlags.FinWaiting) != 0 ? t.K.FinSeq + 1 : t.C.Rcv.Nxt;
        var count = _x.OutOfOrder.WriteSackBlocks(ref t.K.OutOfOrder, blocks);
        // More gaps than that, and it is anything in the window.
        if (count == SackBlocksMax) return end + t.C.ReceiveBuffer;
        foreach (ref readonly var block in blocks[..count]) end = SeqNumber.Max(end, block.Right);
        return end;
    }

    // Key derivation of the specification: AES-CMAC under the device key of a counter, the version, the SPI and the length of the key in bits.
    private UInt128 Derive(uint spi)
    {
        Span<byte> block = [0, 0, 0, 1, (byte)'P', (byte)'v', (byte)'0', 0, 0, 0, 0, 0, 0, 0, 0, 128];
        Span<byte> device = stackalloc byte[AesCmac.Length];
        Span<byte> derived = stackalloc byte[AesCmac.Length];
        BinaryPrimitives.WriteUInt32BigEndian(block[8..], spi);
        BinaryPrimitives.WriteUInt128BigEndian(device, _deviceKey);
        var mac = default(AesCmac);
        mac.Begin(device);
        mac.Append(block);
        mac.Finish(derived);
        return BinaryPrimitives.ReadUInt128BigEndian(derived);
    }

    private void Sweep()
    {
        foreach (var (hash, a) in _associations)
        {
            if (!_x.Demux.TryFind(hash, a.Local.Address, a.Local.Port, a.Remote.Address, a.Remote.Port, ref _keys, out _, out _)) Forget(hash);
        }
    }

    /// <summary>A new connection begins under that tuple.</summary>
    internal void Forget(ulong hash)
    {
        if (!_associations.Remove(hash, out var old)) return;
        _bySpi.Remove(old.ReceiveSpi);
        old.Dispose();
    }

    /// <summary>The stack ends, and its keys with it.</summary>
    internal void ForgetAll()
    {
        foreach (var association in _associations.Values) association.Dispose();
        _associations.Clear();
        _bySpi.Clear();
    }

    private PspAssociation? Of(in IpAddress local, ushort localPort, in IpAddress remote, ushort remotePort) =>
        _associations.Count == 0 ? null : _associations.GetValueOrDefault(_x.Demux.Hash(local, localPort, remote, remotePort));

    /// <summary>Bytes that PSP takes from each of a connection's packets.</summary>
    internal int OverheadOf(in Tcb c) => Of(c.Local, c.LocalPort, c.Remote, c.RemotePort) is { Transmits: true } ? PspPacket.Overhead : 0;

    /// <summary>How many bytes from a sequence number on are of a kind, in clear text or not: no segment is both. What is all one says the most there is.</summary>
    internal uint AlikeFrom(in Tcb c, SeqNumber seq) =>
        Of(c.Local, c.LocalPort, c.Remote, c.RemotePort) is { Transmits: true } a && a.ClearFrom(c.Snd.Una, seq) is > 0 and var clear ? clear : uint.MaxValue;

    /// <summary>What secures a connection's segment that is about to be sent; null when it goes in clear text.</summary>
    internal PspAssociation? SealOf(in Tcb c, SeqNumber seq, int payloadLength) =>
        SealOf(c.Local, c.LocalPort, c.Remote, c.RemotePort) is { } a && (payloadLength == 0 || a.ClearFrom(c.Snd.Una, seq) == 0) ? a : null;

    /// <summary>The same of a segment without data.</summary>
    internal PspAssociation? SealOf(in IpAddress local, ushort localPort, in IpAddress remote, ushort remotePort) =>
        Of(local, localPort, remote, remotePort) is { Transmits: true } a ? a : null;

    /// <summary>Makes a segment, without anything before it, a PSP packet; false when the frame has no room.</summary>
    internal bool TrySeal(PspAssociation association, ref Frame frame, ushort entropy)
    {
        var length = frame.Length;
        var segment = _scratch.AsSpan(0, length);
        _x.Frames.CopyTo(frame, 0, segment);
        Span<byte> header = stackalloc byte[PspPacket.HeaderLength];
        Span<byte> tag = stackalloc byte[PspPacket.TagLength];
        association.Seal(header, segment, tag, ++_lastIv);
        _x.Frames.CopyFrom(frame, 0, segment);
        if (!_x.Frames.TryAppend(ref frame, tag) || !_x.Frames.TryPrepend(ref frame, UdpHeader.Length + PspPacket.HeaderLength, out var before)) return false;
        UdpHeader.Write(before, (ushort)(entropy | 0xC000), (ushort)Port, PspPacket.Overhead - UdpHeader.Length + length);
        // RFC 6935: a tunnel whose own check is the stronger needs none of UDP's.
        before.Slice(UdpHeader.ChecksumOffset, 2).Clear();
        header.CopyTo(before[UdpHeader.Length..]);
        return true;
    }

    /// <summary>A PSP packet becomes the segment that is in it; false when it cannot be read and is to be dropped. Others stay as they are.</summary>
    internal bool TryOpen(ref ReceivedPacket packet)
    {
        const int before = UdpHeader.Length + PspPacket.HeaderLength;
        if (packet.Protocol != IpProtocol.Udp || packet.IsGroup || packet.TransportLength < UdpHeader.Length || packet.TransportOffset + UdpHeader.Length > packet.Frame.HeadLength) return true;
        var udp = _x.Frames.Head(packet.Frame)[packet.TransportOffset..];
        if (BinaryPrimitives.ReadUInt16BigEndian(udp[2..]) != Port) return true;
        var length = BinaryPrimitives.ReadUInt16BigEndian(udp[4..]);
        var isWhole = length <= packet.TransportLength && length >= PspPacket.Overhead + TcpHeader.Length && udp.Length >= before;
        if (isWhole && PspPacket.TryReadHeader(udp[UdpHeader.Length..before], out var spi) && _bySpi.TryGetValue(spi, out var association) && TryOpen(packet, association, length - before))
        {
            packet.Protocol = IpProtocol.Tcp;
            packet.TransportOffset += before;
            packet.TransportLength = length - PspPacket.Overhead;
            // Whatever a link has said of a checksum was said of the datagram; the segment has its own.
            (packet.ChecksumGood, packet.MayBeUnfinished, packet.PspSpi) = (false, false, spi);
            return true;
        }
        _x.Counters.DroppedAuthentication++;
        return false;
    }

    private bool TryOpen(in ReceivedPacket packet, PspAssociation association, int length)
    {
        var at = packet.TransportOffset + UdpHeader.Length;
        Span<byte> header = stackalloc byte[PspPacket.HeaderLength];
        var sealedText = _scratch.AsSpan(0, length);
        _x.Frames.CopyTo(packet.Frame, at, header);
        if (_x.Frames.CopyTo(packet.Frame, at + PspPacket.HeaderLength, sealedText) != length) return false;
        var segment = sealedText[..^PspPacket.TagLength];
        if (!association.TryUnseal(header, segment, sealedText[^PspPacket.TagLength..], _proof)) return false;
        _x.Frames.CopyFrom(packet.Frame, at + PspPacket.HeaderLength, segment);
        return true;
    }

    /// <summary>Whether a segment may be its connection's: secured by our key for it, or in clear text as long as that is taken.</summary>
    /// <param name="hash">Of the segment's addresses and ports.</param>
    /// <param name="kind">What there is under them; null for nothing.</param>
    /// <param name="index">Where that is.</param>
    /// <param name="packet">How it came.</param>
    /// <param name="s">The segment.</param>
    internal bool Takes(ulong hash, DemuxKind? kind, uint index, in ReceivedPacket packet, in SegmentArrival s)
    {
        if (_associations.Count == 0) return packet.PspSpi == 0;
        var a = _associations.GetValueOrDefault(hash);
        if (packet.PspSpi != 0)
        {
            if (a?.ReceiveSpi != packet.PspSpi) return false;
            a.PeerTransmits = true;
            return true;
        }
        if (a is null) return true;
        if (kind is null && s.IsSyn)
        {
            // The connection that had the keys is gone, and who begins another has none.
            Forget(hash);
            return true;
        }
        if (!a.Transmits)
        {
            if (kind == DemuxKind.Tcb) NoteClear(a, _x.Tcbs.Get(index).C, s);
            return true;
        }
        // The peer may have sent these before it had its key: an ACK or a reset anywhere, a FIN only where it ends what was read in clear text.
        return !a.PeerTransmits && s.PayloadLength == 0 && (s.Flags & TcpFlags.Syn) == 0 && ((s.Flags & TcpFlags.Fin) == 0 || s.Seq == a.ClearFinAt);
    }

    // What lies outside the window is not kept, and may not say where clear text ends: with two such segments the mark would have come round.
    private static void NoteClear(PspAssociation a, in Tcb c, in SegmentArrival s)
    {
        var edge = c.Rcv.Nxt + (uint)Math.Max(c.Rcv.Edge - c.Rcv.Nxt, (int)c.ReceiveBuffer);
        var end = s.Seq + (uint)s.PayloadLength + (s.IsFin ? 1u : 0);
        if (end.IsAfter(c.Rcv.Nxt) && s.Seq.IsBefore(edge)) a.ReceivedClearEnd = SeqNumber.Max(a.ReceivedClearEnd, SeqNumber.Min(end, edge));
    }
}
