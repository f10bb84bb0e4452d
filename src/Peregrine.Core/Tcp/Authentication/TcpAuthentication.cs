// The authentication of one connection: its keys, which of them is in use each way (RFC 5925 §4), the traffic keys made of them, and the sequence
// number extensions. Signs what goes and judges what comes; what follows from that is others' business.
using System.Security.Cryptography;
using Peregrine.Core.Ip;
using Peregrine.Core.Memory;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp.Authentication;

/// <summary>What a segment's signature is worth.</summary>
internal enum SignatureVerdict : byte
{
    /// <summary>It is the peer's.</summary>
    Good,

    /// <summary>There is none, or one of the other kind.</summary>
    Missing,

    /// <summary>TCP-AO: no key has its KeyID, or the initial sequence numbers that its key is made of are not known.</summary>
    NoKey,

    /// <summary>It is wrong.</summary>
    Bad,
}

internal sealed class TcpAuthentication
{
    private Endpoint _local;
    private Endpoint _remote;
    private SequenceExtension _send;
    private SequenceExtension _receive;
    private uint _sendIsn;
    private uint _receiveIsn;
    private bool _knowsPeer;
    private TrafficKey _sendKey;
    private TrafficKey _receiveKey;
    private TcpKey? _sendKeyOf;
    private TcpKey? _receiveKeyOf;

    internal TcpPeerKeys Keys { get; private set; } = null!;

    /// <summary>RFC 5925 §4: authenticates what we send.</summary>
    internal TcpKey Current { get; private set; } = null!;

    /// <summary>RFC 5925 §4: what we would have the peer use.</summary>
    internal TcpKey Next { get; private set; } = null!;

    /// <summary>KeyID and RNextKeyID of the last good segment.</summary>
    internal (byte KeyId, byte NextKeyId) LastReceived { get; private set; }

    /// <summary>A connection that is about to send its SYN, or has received one.</summary>
    internal void Begin(TcpPeerKeys keys, in Endpoint local, in Endpoint remote, SeqNumber sendIsn)
    {
        (Keys, Current, Next, _local, _remote) = (keys, keys.Keys[0], keys.Keys[0], local, remote);
        (_sendIsn, _send) = (sendIsn.Value, new SequenceExtension(sendIsn));
        (_knowsPeer, _sendKeyOf, _receiveKeyOf, LastReceived) = (false, null, null, default);
    }

    /// <summary>The peer's initial sequence number, with which the traffic keys are complete.</summary>
    internal void BeginPeer(SeqNumber isn)
    {
        (_receiveIsn, _receive, _knowsPeer) = (isn.Value, new SequenceExtension(isn), true);
        (_sendKeyOf, _receiveKeyOf) = (null, null);
    }

    /// <summary>Which key is used each way; one that is not there changes nothing.</summary>
    internal bool Prefer(TcpKey? current, TcpKey? next)
    {
        Current = current ?? Current;
        Next = next ?? Next;
        return current is not null || next is not null;
    }

    /// <summary>Other keys take the place of these (RFC 5925 §3.1: the set may change, its members may not).</summary>
    internal void Replace(TcpPeerKeys keys)
    {
        (Current, Next) = (keys.BySendId(Current.SendId) ?? keys.Keys[0], keys.ByReceiveId(Next.ReceiveId) ?? keys.Keys[0]);
        (Keys, _sendKeyOf, _receiveKeyOf) = (keys, null, null);
    }

    /// <summary>Room for the signature in a segment that is being planned.</summary>
    internal void Reserve(ref TcpOptions options)
    {
        if (Keys.IsMd5) options.SetMd5();
        else options.SetAuthentication(Current.SendId, Next.ReceiveId);
    }

    /// <summary>Bytes that a signature takes of every segment.</summary>
    internal int SignatureLength => Keys.IsMd5 ? TcpOptions.Md5SignatureLength : TcpOptions.AuthenticationSignatureLength;

    /// <summary>RFC 5925 §7.4: writes the code into a segment that is otherwise complete. Gives its place, for the checksum.</summary>
    internal ReadOnlySpan<byte> Sign(in SegmentBytes segment, TcpFlags flags, SeqNumber seq)
    {
        var mac = segment.Mac(Keys.IsMd5);
        // RFC 5925 §7.4 step 2c: a SYN without ACK has a key of its own, in which the peer's number is zero.
        var isSyn = (flags & (TcpFlags.Syn | TcpFlags.Ack)) == TcpFlags.Syn;
        if (!Keys.IsMd5 && (isSyn || _sendKeyOf != Current))
        {
            _sendKey.Derive(Current, _local, _remote, _sendIsn, isSyn ? 0 : _receiveIsn);
            _sendKeyOf = isSyn ? null : Current;
        }
        SegmentMac.Compute(Current, Keys.IsMd5 ? default : _sendKey.Bytes(Current), _send.Of(seq), _local.Address, _remote.Address, segment, mac);
        _send.Advance(seq);
        return mac;
    }

    /// <summary>RFC 5925 §7.5, RFC 2385 §2.0.</summary>
    internal SignatureVerdict Judge(FramePool frames, in ReceivedPacket packet, in SegmentArrival s)
    {
        ref readonly var options = ref s.Options;
        if (!(Keys.IsMd5 ? options.HasMd5 : options.HasAuthentication)) return SignatureVerdict.Missing;
        var segment = new SegmentBytes(frames, packet.Frame, packet.TransportOffset, packet.TransportLength, s.PayloadOffset - packet.TransportOffset,
            TcpHeader.Length + options.AuthenticationOffset, options.AuthenticationLength);
        if (Keys.IsMd5) return IsRight(Keys.Keys[0], default, 0, segment) ? SignatureVerdict.Good : SignatureVerdict.Bad;
        if (Keys.ByReceiveId(options.KeyId) is not { } key) return SignatureVerdict.NoKey;
        // RFC 5925 §7.5 step 2a, before anything is computed.
        if (options.AuthenticationLength != 4 + SegmentMac.LengthOf(key.Algorithm)) return SignatureVerdict.Bad;
        if (!_knowsPeer && !s.IsSyn) return SignatureVerdict.NoKey;
        var trafficKey = TrafficKeyFor(key, s);
        var extension = s.IsSyn || !_knowsPeer ? 0 : _receive.Of(s.Seq);
        if (!IsRight(key, trafficKey.Bytes(key), extension, segment)) return SignatureVerdict.Bad;
        Take(key, trafficKey, s);
        return SignatureVerdict.Good;
    }

    // RFC 5925 §5.2: a SYN's key is made of its own number and zero, the SYN-ACK's of its own number and ours.
    private TrafficKey TrafficKeyFor(TcpKey key, in SegmentArrival s)
    {
        if (!s.IsSyn && _receiveKeyOf == key) return _receiveKey;
        var trafficKey = default(TrafficKey);
        trafficKey.Derive(key, _remote, _local, s.IsSyn ? s.Seq.Value : _receiveIsn, s.IsSyn && !s.IsAck ? 0 : _sendIsn);
        return trafficKey;
    }

    // Only what the peer has signed may move anything.
    private void Take(TcpKey key, in TrafficKey trafficKey, in SegmentArrival s)
    {
        if (!_knowsPeer) BeginPeer(s.Seq);
        if (!s.IsSyn)
        {
            (_receiveKey, _receiveKeyOf) = (trafficKey, key);
            _receive.Advance(s.Seq);
        }
        LastReceived = (s.Options.KeyId, s.Options.NextKeyId);
        // RFC 5925 §7.5 step 2e: the peer says which key it would have us use.
        if (s.Options.NextKeyId != Current.SendId) Prefer(Keys.BySendId(s.Options.NextKeyId), null);
    }

    private bool IsRight(TcpKey key, ReadOnlySpan<byte> trafficKey, uint extension, in SegmentBytes segment)
    {
        Span<byte> mac = stackalloc byte[SegmentMac.LengthMax];
        mac = mac[..SegmentMac.LengthOf(key.Algorithm)];
        SegmentMac.Compute(key, trafficKey, extension, _remote.Address, _local.Address, segment, mac);
        return CryptographicOperations.FixedTimeEquals(mac, segment.Mac(key.IsMd5));
    }
}
