// SYN cookies: what has to be known of a half-open connection, put into the initial sequence number of its SYN-ACK, and with timestamps
// a little more into our timestamp. Only for when the backlog is full: a lost SYN-ACK is not sent again, and not every option survives.
//
// The number is 27 bits of a keyed hash over tuple, peer's sequence number, time slot and what follows: 1 bit of SACK, 3 of MSS index and 1 of
// the slot, these 5 masked by another hash so that they say nothing. The slot being in the hash is as good as a new secret every 64 s.
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp;

/// <summary>What a cookie's timestamp carries besides time.</summary>
/// <param name="HasWindowScale">Whether the peer sent a window scale option.</param>
/// <param name="WindowScale">The peer's shift, 0 to 14.</param>
/// <param name="SackPermitted">Whether the peer permitted SACK.</param>
/// <param name="Ecn">Whether ECN was agreed on.</param>
internal readonly record struct CookieOptions(bool HasWindowScale, byte WindowScale, bool SackPermitted, bool Ecn);

/// <summary>Makes and checks SYN cookies.</summary>
internal readonly struct SynCookies
{
    /// <summary>Length of a time slot. A cookie is good in its slot and the next: 64 to 128 s.</summary>
    public static readonly Duration SlotLength = Duration.FromSeconds(64);

    /// <summary>Low bits of our timestamp that carry options: 4 of window scale, SACK, ECN.</summary>
    public const int TimestampBits = 6;

    private const uint TimestampMask = (1u << TimestampBits) - 1;
    private const int PlainBits = 5;
    private const uint SackBit = 0x10;
    private const uint NoWindowScale = 15;

    private readonly UInt128 _key;

    /// <summary>Takes its key from the stack's secrets.</summary>
    public SynCookies(in StackSecrets secrets) => _key = secrets.CookieKey;

    /// <summary>
    /// Segment sizes that a cookie can name over IPv4, rising: the default, tunnels, PPPoE, Ethernet without and
    /// with timestamps counted, jumbo frames. The smallest stands for all below it.
    /// </summary>
    private static ReadOnlySpan<ushort> SizesIPv4 => [216, 536, 1220, 1300, 1400, 1440, 1460, 8960];

    /// <summary>The same over IPv6, whose default is 1,220 (RFC 9293 §3.7.1).</summary>
    private static ReadOnlySpan<ushort> SizesIPv6 => [216, 536, 1220, 1320, 1380, 1420, 1440, 8940];

    /// <summary>The initial sequence number of a SYN-ACK that keeps no state.</summary>
    /// <param name="local">Our address.</param>
    /// <param name="localPort">Our port.</param>
    /// <param name="remote">The peer's address.</param>
    /// <param name="remotePort">The peer's port.</param>
    /// <param name="irs">The peer's initial sequence number.</param>
    /// <param name="mss">The peer's segment size, or its default when it sent none; rounded down to what can be named.</param>
    /// <param name="sack">Whether the peer permitted SACK.</param>
    /// <param name="now">The time.</param>
    public SeqNumber Encode(in IpAddress local, ushort localPort, in IpAddress remote, ushort remotePort, SeqNumber irs, ushort mss, bool sack, Instant now)
    {
        var sizes = remote.IsIPv4 ? SizesIPv4 : SizesIPv6;
        var index = sizes.Length - 1;
        while (index > 0 && sizes[index] > mss) index--;
        var slot = SlotOf(now);
        var plain = ((uint)index << 1) | ((uint)slot & 1) | (sack ? SackBit : 0);
        return new SeqNumber(Seal(local, localPort, remote, remotePort, irs, slot, plain));
    }

    /// <summary>Checks the number that a peer's ACK echoes and reads the segment size from it.</summary>
    /// <param name="local">Our address.</param>
    /// <param name="localPort">Our port.</param>
    /// <param name="remote">The peer's address.</param>
    /// <param name="remotePort">The peer's port.</param>
    /// <param name="irs">The peer's initial sequence number: SEG.SEQ − 1 of the ACK.</param>
    /// <param name="iss">Ours: SEG.ACK − 1 of the ACK.</param>
    /// <param name="now">The time.</param>
    /// <param name="mss">The peer's segment size, not larger than it was.</param>
    /// <param name="sack">Whether the peer permitted SACK.</param>
    public bool TryDecode(
        in IpAddress local, ushort localPort, in IpAddress remote, ushort remotePort, SeqNumber irs, SeqNumber iss, Instant now, out ushort mss, out bool sack)
    {
        (mss, sack) = (0, false);
        var plain = (iss.Value ^ Mask(local, localPort, remote, remotePort, irs)) & ((1u << PlainBits) - 1);
        var slot = SlotOf(now);
        // The bit names one of the two slots that are still good, so a guess has one chance in 2^27.
        if (((uint)slot & 1) != (plain & 1)) slot--;
        if (Seal(local, localPort, remote, remotePort, irs, slot, plain) != iss.Value) return false;
        mss = (remote.IsIPv4 ? SizesIPv4 : SizesIPv6)[(int)(plain >> 1) & 7];
        sack = (plain & SackBit) != 0;
        return true;
    }

    /// <summary>
    /// Our timestamp for a SYN-ACK with a cookie. Not later than the clock, so that those which follow it rise.
    /// </summary>
    /// <param name="clock">The timestamp clock without the connection's offset.</param>
    /// <param name="offset">The connection's timestamp offset.</param>
    /// <param name="options">What to carry.</param>
    public static uint EncodeTimestamp(uint clock, uint offset, in CookieOptions options)
    {
        var bits = options.HasWindowScale ? Math.Min(options.WindowScale, 14u) : NoWindowScale;
        if (options.SackPermitted) bits |= 0x10;
        if (options.Ecn) bits |= 0x20;
        var stamp = (clock & ~TimestampMask) | bits;
        if ((int)(stamp - clock) > 0) stamp -= 1u << TimestampBits;
        // The offset is added last: whoever does not know it cannot read the bits.
        return stamp + offset;
    }

    /// <summary>
    /// Reads options from the timestamp that the peer's ACK echoes. It is not authenticated: a peer can only change what it could have
    /// asked for in its SYN.
    /// </summary>
    public static CookieOptions DecodeTimestamp(uint echoed, uint offset)
    {
        var bits = (echoed - offset) & TimestampMask;
        var scale = bits & 0xF;
        return new CookieOptions(scale != NoWindowScale, scale == NoWindowScale ? (byte)0 : (byte)scale, (bits & 0x10) != 0, (bits & 0x20) != 0);
    }

    private static ulong SlotOf(Instant now) => (ulong)(now.Nanoseconds / SlotLength.Nanoseconds);

    private uint Seal(in IpAddress local, ushort localPort, in IpAddress remote, ushort remotePort, SeqNumber irs, ulong slot, uint plain)
    {
        var hash = SipHash.Hash24(_key, slot, irs.Value | ((ulong)plain << 32), local, localPort, remote, remotePort);
        return ((uint)hash << PlainBits) | ((plain ^ Mask(local, localPort, remote, remotePort, irs)) & ((1u << PlainBits) - 1));
    }

    // Slot 2^64 - 1 does not occur, so this hash is of another domain.
    private uint Mask(in IpAddress local, ushort localPort, in IpAddress remote, ushort remotePort, SeqNumber irs) =>
        (uint)SipHash.Hash24(_key, ulong.MaxValue, irs.Value, local, localPort, remote, remotePort);
}
