// Which segments of a stack have to be signed, and by whom: connections, half-open ones and those in TIME-WAIT that have keys, listeners' keys for
// whoever knocks. It exists from the first key on; a stack without keys pays one look at a reference for it.
using Peregrine.Core.Demux;
using Peregrine.Core.Ip;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp.Authentication;

internal sealed class TcpAuthenticator(TcpContext context)
{
    private readonly TcpContext _x = context;
    private readonly Dictionary<uint, TcpAuthentication> _connections = [];
    private readonly Dictionary<uint, TcpAuthentication> _timeWaits = [];
    private readonly Dictionary<ushort, TcpKeySet> _bound = [];
    private TcpDemuxKeys _keys = new(context.Tcbs, context.TimeWaits, context.SynBacklog);

    // Half-open connections keep no state but two identifiers: what else they need is made anew here for each segment.
    private readonly TcpAuthentication _halfOpen = new();

    /// <summary>Whether a segment may go on to be processed (RFC 5925 §7.3: all are checked, after the checksum). It is counted when not.</summary>
    internal static bool Takes(TcpContext x, DemuxKind? kind, uint index, in SegmentArrival s, in ReceivedPacket packet)
    {
        var verdict = x.Authenticator is { } authenticator && authenticator.Find(kind, index, s, packet) is { } authentication
            ? authenticator.Judge(authentication, kind, index, s, packet)
            : JudgeUnexpected(x, s);
        if (verdict == SignatureVerdict.Good) return true;
        x.Counters.DroppedAuthentication++;
        return false;
    }

    /// <summary>The connection's authentication, or null.</summary>
    internal TcpAuthentication? Of(TcbRef t) => _connections.GetValueOrDefault(_x.Tcbs.IndexOf(t));

    /// <summary>The authentication of a record in TIME-WAIT, or null.</summary>
    internal TcpAuthentication? OfTimeWait(uint index) => _timeWaits.GetValueOrDefault(index);

    /// <summary>The authentication of a half-open connection, or null; good until the next is asked for.</summary>
    internal TcpAuthentication? OfHalfOpen(in SynRecord record)
    {
        if (_x.Listeners.Get(record.Listener)?.Keys?.For(record.LocalEndpoint, record.RemoteEndpoint) is not { } keys) return null;
        Begin(_halfOpen, record, keys);
        return _halfOpen;
    }

    /// <summary>A connection request that was signed rightly, and of which this is made: which keys answer it.</summary>
    internal void OnSyn(in SegmentArrival s, TcpListenerEntry entry, ref SynRecord record)
    {
        if (entry.Keys?.For(record.LocalEndpoint, record.RemoteEndpoint) is not { } keys) return;
        record.SendKeyId = (keys.BySendId(s.Options.NextKeyId) ?? keys.ByReceiveId(s.Options.KeyId) ?? keys.Keys[0]).SendId;
        record.ReceiveKeyId = s.Options.KeyId;
        // RFC 2385 §4.3: 18 bytes leave no room for timestamps beside SACK blocks.
        if (keys.IsMd5 && (record.Flags & SynFlags.Sack) != 0 && !_x.Settings[entry.Settings].PackedSynOptions) record.Flags &= ~SynFlags.Timestamps;
    }

    /// <summary>An active open begins with these keys: before anything that depends on the room for options.</summary>
    internal void OnConnect(TcbRef t, TcpPeerKeys keys, SeqNumber isn)
    {
        var authentication = new TcpAuthentication();
        authentication.Begin(keys, t.C.LocalEndpoint, t.C.RemoteEndpoint, isn);
        _connections[_x.Tcbs.IndexOf(t)] = authentication;
    }

    /// <summary>A half-open connection has become one.</summary>
    internal void OnAccepted(TcbRef t, in SynRecord record)
    {
        if (_x.Listeners.Get(record.Listener)?.Keys?.For(record.LocalEndpoint, record.RemoteEndpoint) is not { } keys) return;
        var authentication = new TcpAuthentication();
        Begin(authentication, record, keys);
        _connections[_x.Tcbs.IndexOf(t)] = authentication;
    }

    /// <summary>A connection goes into TIME-WAIT, and what it signed with goes along. Whatever the record had before is forgotten.</summary>
    internal void OnTimeWait(TcbRef t, uint timeWait)
    {
        if (_connections.TryGetValue(_x.Tcbs.IndexOf(t), out var authentication)) _timeWaits[timeWait] = authentication;
        else _timeWaits.Remove(timeWait);
    }

    internal void OnFinished(TcbRef t) => _connections.Remove(_x.Tcbs.IndexOf(t));

    internal void OnTimeWaitEnded(uint index) => _timeWaits.Remove(index);

    /// <summary>Keys of a port where nobody listens: its resets are signed with them. Null for none.</summary>
    internal void Bind(ushort port, TcpKeySet? keys)
    {
        if (keys is null) _bound.Remove(port);
        else _bound[port] = keys;
    }

    /// <summary>
    /// Who signs a reset for a segment that belongs nowhere, or not to the connection of its addresses; false when it must not be sent. MD5 needs no
    /// state for it; TCP-AO does, and its resets without are useless to the peer (RFC 5925 §7.7).
    /// </summary>
    internal bool MayReset(in ReceivedPacket packet, in SegmentArrival s, out TcpAuthentication? signer)
    {
        var hash = _x.Demux.Hash(packet.Destination, s.LocalPort, packet.Source, s.RemotePort);
        signer = _x.Demux.TryFind(hash, packet.Destination, s.LocalPort, packet.Source, s.RemotePort, ref _keys, out var kind, out var index) ? Find(kind, index, s, packet) : null;
        if (signer is { Keys.IsMd5: true }) return true;
        signer = null;
        if (KeysOfListener(packet, s) is not { } keys) return true;
        if (!keys.IsMd5) return false;
        signer = _halfOpen;
        signer.Begin(keys, new Endpoint(packet.Destination, s.LocalPort), new Endpoint(packet.Source, s.RemotePort), s.Ack);
        return true;
    }

    private TcpAuthentication? Find(DemuxKind? kind, uint index, in SegmentArrival s, in ReceivedPacket packet)
    {
        switch (kind)
        {
            case DemuxKind.Tcb:
                return _connections.GetValueOrDefault(index);
            case DemuxKind.TimeWait:
                return OfTimeWait(index);
            case DemuxKind.SynReceived:
                return OfHalfOpen(_x.SynBacklog.Get(index));
            default:
                if (KeysOfListener(packet, s) is not { } keys) return null;
                _halfOpen.Begin(keys, new Endpoint(packet.Destination, s.LocalPort), new Endpoint(packet.Source, s.RemotePort), default);
                return _halfOpen;
        }
    }

    private TcpPeerKeys? KeysOfListener(in ReceivedPacket packet, in SegmentArrival s)
    {
        Endpoint local = new(packet.Destination, s.LocalPort), peer = new(packet.Source, s.RemotePort);
        return _x.Listeners.TryFind(_x.Demux, packet, s, out var listener) ? _x.Listeners.Get(listener)!.Keys?.For(local, peer)
            : _bound.GetValueOrDefault(s.LocalPort)?.For(local, peer);
    }

    private SignatureVerdict Judge(TcpAuthentication authentication, DemuxKind? kind, uint index, in SegmentArrival s, in ReceivedPacket packet)
    {
        var verdict = authentication.Judge(_x.Frames, packet, s);
        Count(authentication.Keys.IsMd5, verdict);
        if (verdict == SignatureVerdict.Good && kind == DemuxKind.SynReceived) _x.SynBacklog.Get(index).SendKeyId = authentication.Current.SendId;
        return verdict;
    }

    private void Count(bool isMd5, SignatureVerdict verdict)
    {
        ref var counters = ref _x.Recovery.Counters;
        switch (verdict)
        {
            case SignatureVerdict.Good when !isMd5:
                counters.TCPAOGood++;
                break;
            case SignatureVerdict.Missing when isMd5:
                counters.TCPMD5NotFound++;
                break;
            case SignatureVerdict.Missing:
                counters.TCPAORequired++;
                break;
            case SignatureVerdict.NoKey:
                counters.TCPAOKeyNotFound++;
                break;
            case SignatureVerdict.Bad when isMd5:
                counters.TCPMD5Failure++;
                break;
            case SignatureVerdict.Bad:
                counters.TCPAOBad++;
                break;
        }
    }

    // RFC 5925 §7.3: segments with TCP-AO that match no key are accepted unless configured otherwise. Linux drops MD5 signatures of that kind.
    private static SignatureVerdict JudgeUnexpected(TcpContext x, in SegmentArrival s)
    {
        if (s.Options.HasMd5)
        {
            x.Recovery.Counters.TCPMD5Unexpected++;
            return SignatureVerdict.NoKey;
        }
        if (!s.Options.HasAuthentication || !x.Options.DropUnknownKeys) return SignatureVerdict.Good;
        x.Recovery.Counters.TCPAOKeyNotFound++;
        return SignatureVerdict.NoKey;
    }

    private static void Begin(TcpAuthentication authentication, in SynRecord record, TcpPeerKeys keys)
    {
        authentication.Begin(keys, record.LocalEndpoint, record.RemoteEndpoint, record.Iss);
        authentication.BeginPeer(record.Irs);
        if (!keys.IsMd5) authentication.Prefer(keys.BySendId(record.SendKeyId), keys.ByReceiveId(record.ReceiveKeyId));
    }
}
