// TCP options as a blittable value: what a segment carried, or what it is to carry. Parsing reads remote input: it never throws, never
// loops without progress, and keeps nothing that its RFC says to ignore. Authentication and MPTCP are recognised by their place only.
using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Peregrine.Wire;

/// <summary>Which options are present.</summary>
[Flags]
public enum TcpOptionFlags : ushort
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary><see cref="TcpOptions.Mss"/> is set.</summary>
    Mss = 1,

    /// <summary><see cref="TcpOptions.WindowScale"/> is set.</summary>
    WindowScale = 2,

    /// <summary>SACK is permitted.</summary>
    SackPermitted = 4,

    /// <summary><see cref="TcpOptions.TsVal"/> and <see cref="TcpOptions.TsEcr"/> are set.</summary>
    Timestamps = 8,

    /// <summary>There is a fast open option; its cookie may be empty (a request).</summary>
    FastOpen = 16,

    /// <summary><see cref="TcpOptions.UserTimeoutField"/> is set.</summary>
    UserTimeout = 32,

    /// <summary>There is an MD5 signature.</summary>
    Md5 = 64,

    /// <summary>There is an authentication option.</summary>
    Authentication = 128,

    /// <summary>There is at least one MPTCP option.</summary>
    Mptcp = 256,

    /// <summary>To be written closely, as <see cref="TcpOptions.IsPacked"/> says. Never set by parsing.</summary>
    Packed = 512,

    /// <summary>The fast open option has the form that it had as an experiment (RFC 7413 appendix A.1 tells of it): kind 254 with 0xF989.</summary>
    FastOpenExperimental = 1024,

    /// <summary><see cref="TcpOptions.AccurateEcn"/> is set.</summary>
    AccurateEcn = 2048,
}

/// <summary>A block of received data: <see cref="Left"/> is its first number, <see cref="Right"/> the one after its last (RFC 2018 §3).</summary>
/// <param name="Left">First sequence number.</param>
/// <param name="Right">The number after the last.</param>
public readonly record struct SackBlock(SeqNumber Left, SeqNumber Right);

/// <summary>Room for the four SACK blocks that fit into the options.</summary>
[InlineArray(TcpOptions.SackBlockCountMax)]
public struct SackBlocks
{
    private SackBlock _first;
}

/// <summary>The options of one segment.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct TcpOptions : IEquatable<TcpOptions>
{
    /// <summary>SACK blocks that fit into 40 bytes; three beside timestamps.</summary>
    public const int SackBlockCountMax = 4;

    /// <summary>Bytes of all options together, at most.</summary>
    public const int LengthMax = 40;

    /// <summary>Bytes of the timestamps option with its two NOPs (RFC 7323 appendix A).</summary>
    public const int TimestampsLength = 12;

    /// <summary>How the timestamps option begins in that form: NOP, NOP, kind 8, length 10.</summary>
    public const uint AlignedTimestamps = 0x0101_080A;

    /// <summary>Bytes of the MD5 signature option with two NOPs before it (RFC 2385 §3.0).</summary>
    public const int Md5SignatureLength = 20;

    /// <summary>Bytes of the authentication option with a code of 96 bits (RFC 5925 §7.6).</summary>
    public const int AuthenticationSignatureLength = 16;

    /// <summary>The experiment's number of fast open (RFC 6994 §3, IANA).</summary>
    internal const ushort FastOpenExperiment = 0xF989;

    /// <summary>Bytes before the cookie in the experiment's form: kind, length, number.</summary>
    internal const int FastOpenExperimentalLength = 4;

    private uint _tsVal;
    private uint _tsEcr;
    private TcpOptionFlags _flags;
    private ushort _mss;
    private ushort _userTimeout;
    private ushort _ect0Low;
    private ushort _ceLow;
    private ushort _ect1Low;
    private byte _scaleAndBlocks;
    private byte _fastOpenOffset;
    private byte _cookieAndForm;
    private byte _authenticationOffset;
    private byte _authenticationLength;
    private byte _mptcpOffset;
    private byte _mptcpLength;
    private byte _keyId;
    private byte _nextKeyId;
    private byte _ect0High;
    private byte _ceHigh;
    private byte _ect1High;
    private SackBlocks _sack;

    // Several in a byte: with the blocks the options fill one cache line.
    private WindowScale Scale
    {
        readonly get => new((byte)(_scaleAndBlocks & 15));
        set => _scaleAndBlocks = (byte)((_scaleAndBlocks & 0xF0) | value.Shift);
    }

    private byte BlockCount
    {
        readonly get => (byte)(_scaleAndBlocks >> 4);
        set => _scaleAndBlocks = (byte)((_scaleAndBlocks & 15) | (value << 4));
    }

    private byte CookieLength
    {
        readonly get => (byte)(_cookieAndForm & 31);
        set => _cookieAndForm = (byte)((_cookieAndForm & ~31) | value);
    }

    private byte CounterForm
    {
        readonly get => (byte)(_cookieAndForm >> 5);
        set => _cookieAndForm = (byte)((_cookieAndForm & 31) | (value << 5));
    }

    /// <summary>Which options are present.</summary>
    public readonly TcpOptionFlags Flags => _flags;

    /// <summary>Whether there is a maximum segment size.</summary>
    public readonly bool HasMss => (_flags & TcpOptionFlags.Mss) != 0;

    /// <summary>Whether there is a window scale.</summary>
    public readonly bool HasWindowScale => (_flags & TcpOptionFlags.WindowScale) != 0;

    /// <summary>Whether there are timestamps.</summary>
    public readonly bool HasTimestamps => (_flags & TcpOptionFlags.Timestamps) != 0;

    /// <summary>Whether there is a fast open option, with a cookie or asking for one.</summary>
    public readonly bool HasFastOpen => (_flags & TcpOptionFlags.FastOpen) != 0;

    /// <summary>Whether the fast open option has the form of the experiment (kind 254, RFC 6994).</summary>
    public readonly bool IsFastOpenExperimental => (_flags & TcpOptionFlags.FastOpenExperimental) != 0;

    /// <summary>Whether there is a user time-out.</summary>
    public readonly bool HasUserTimeout => (_flags & TcpOptionFlags.UserTimeout) != 0;

    /// <summary>Whether there is an MD5 signature (RFC 2385).</summary>
    public readonly bool HasMd5 => (_flags & TcpOptionFlags.Md5) != 0;

    /// <summary>Whether there is an authentication option (RFC 5925).</summary>
    public readonly bool HasAuthentication => (_flags & TcpOptionFlags.Authentication) != 0;

    /// <summary>Whether there is an MPTCP option (RFC 8684).</summary>
    public readonly bool HasMptcp => (_flags & TcpOptionFlags.Mptcp) != 0;

    /// <summary>
    /// A SYN's options are written in FreeBSD's order (MSS, window scale, SACK permitted, timestamps, fast open), close together, with ends of
    /// list behind the last; else in Linux's, each aligned by NOPs.
    /// </summary>
    public bool IsPacked
    {
        readonly get => (_flags & TcpOptionFlags.Packed) != 0;
        set => _flags = value ? _flags | TcpOptionFlags.Packed : _flags & ~TcpOptionFlags.Packed;
    }

    /// <summary>Maximum segment size in bytes, as announced; 0 when absent. Setting it makes it present.</summary>
    public ushort Mss
    {
        readonly get => _mss;
        set => (_mss, _flags) = (value, _flags | TcpOptionFlags.Mss);
    }

    /// <summary>Window scale, at most 14. Setting it makes it present.</summary>
    public WindowScale WindowScale
    {
        readonly get => Scale;
        set => (Scale, _flags) = (value, _flags | TcpOptionFlags.WindowScale);
    }

    /// <summary>Whether SACK is permitted (on a SYN).</summary>
    public bool SackPermitted
    {
        readonly get => (_flags & TcpOptionFlags.SackPermitted) != 0;
        set => _flags = value ? _flags | TcpOptionFlags.SackPermitted : _flags & ~TcpOptionFlags.SackPermitted;
    }

    /// <summary>TSval; 0 when absent.</summary>
    public readonly uint TsVal => _tsVal;

    /// <summary>TSecr; 0 when absent.</summary>
    public readonly uint TsEcr => _tsEcr;

    /// <summary>The 16 bits of the user time-out option: granularity (1 = minutes) and value (RFC 5482 §3.1). Setting makes it present.</summary>
    public ushort UserTimeoutField
    {
        readonly get => _userTimeout;
        set => (_userTimeout, _flags) = (value, _flags | TcpOptionFlags.UserTimeout);
    }

    /// <summary>The user time-out in seconds; 0 when absent.</summary>
    public readonly int UserTimeoutSeconds => (_userTimeout & 0x8000) != 0 ? (_userTimeout & 0x7FFF) * 60 : _userTimeout;

    /// <summary>Whether there is an AccECN option (RFC 9768).</summary>
    public readonly bool HasAccurateEcn => (_flags & TcpOptionFlags.AccurateEcn) != 0;

    /// <summary>The AccECN option; without meaning when absent. Setting it makes it present.</summary>
    public AccurateEcnOption AccurateEcn
    {
        readonly get => new(
            CounterForm >> 2, CounterForm & 3, ((uint)_ect0High << 16) | _ect0Low, ((uint)_ceHigh << 16) | _ceLow, ((uint)_ect1High << 16) | _ect1Low);
        set
        {
            CounterForm = (byte)((value.Order << 2) | value.FieldCount);
            // In pieces, so that the whole of the options stays within a cache line.
            (_ect0Low, _ceLow, _ect1Low) = ((ushort)value.Ect0Bytes, (ushort)value.CeBytes, (ushort)value.Ect1Bytes);
            (_ect0High, _ceHigh, _ect1High) = ((byte)(value.Ect0Bytes >> 16), (byte)(value.CeBytes >> 16), (byte)(value.Ect1Bytes >> 16));
            _flags |= TcpOptionFlags.AccurateEcn;
        }
    }

    /// <summary>How many SACK blocks there are: 0 to 4.</summary>
    public readonly int SackBlockCount => BlockCount;

    /// <summary>The SACK blocks, in the order of the wire. They are not checked against anything.</summary>
    [System.Diagnostics.CodeAnalysis.UnscopedRef]
    public readonly ReadOnlySpan<SackBlock> SackBlocks => ((ReadOnlySpan<SackBlock>)_sack)[..BlockCount];

    /// <summary>Where the cookie begins, from the start of the options.</summary>
    public readonly int FastOpenCookieOffset => _fastOpenOffset;

    /// <summary>Bytes of the cookie: 0 (a request) or 4 to 16.</summary>
    public readonly int FastOpenCookieLength => CookieLength;

    /// <summary>Where the MD5 or authentication option begins, from the start of the options (its kind byte).</summary>
    public readonly int AuthenticationOffset => _authenticationOffset;

    /// <summary>Bytes of the MD5 or authentication option, kind and length included.</summary>
    public readonly int AuthenticationLength => _authenticationLength;

    /// <summary>Whether the signature is written behind the other options rather than before them.</summary>
    public readonly bool IsSignedLast => IsPacked && HasMss && HasMd5;

    /// <summary>Whether there is an MD5 signature or an authentication option.</summary>
    public readonly bool HasSignature => (_flags & (TcpOptionFlags.Md5 | TcpOptionFlags.Authentication)) != 0;

    /// <summary>Bytes that the signature takes when it is written, padding included; 0 without one.</summary>
    public readonly int SignatureLength =>
        !HasSignature ? 0 : HasMd5 ? Md5SignatureLength : AuthenticationSignatureLength;

    /// <summary>KeyID of the authentication option (RFC 5925 §2.2).</summary>
    public readonly byte KeyId => _keyId;

    /// <summary>RNextKeyID of the authentication option (RFC 5925 §2.2).</summary>
    public readonly byte NextKeyId => _nextKeyId;

    /// <summary>Where the first MPTCP option begins, from the start of the options (its kind byte).</summary>
    public readonly int MptcpOffset => _mptcpOffset;

    /// <summary>Bytes of the first MPTCP option, kind and length included.</summary>
    public readonly int MptcpLength => _mptcpLength;

    /// <summary>Makes timestamps present.</summary>
    public void SetTimestamps(uint tsVal, uint tsEcr)
    {
        _tsVal = tsVal;
        _tsEcr = tsEcr;
        _flags |= TcpOptionFlags.Timestamps;
    }

    /// <summary>Makes an MD5 signature present; its 16 bytes are written as zeros, behind two NOPs at the front (RFC 2385 §3.0), or last on a packed SYN.</summary>
    public void SetMd5() => _flags |= TcpOptionFlags.Md5;

    /// <summary>Makes an authentication option present; its code of 12 bytes is written as zeros, the option at the front (RFC 5925 §2.2).</summary>
    public void SetAuthentication(byte keyId, byte nextKeyId)
    {
        (_keyId, _nextKeyId) = (keyId, nextKeyId);
        _flags |= TcpOptionFlags.Authentication;
    }

    /// <summary>Adds a SACK block; false when four are there already.</summary>
    public bool TryAddSackBlock(SackBlock block)
    {
        if (BlockCount == SackBlockCountMax) return false;
        _sack[BlockCount++] = block;
        return true;
    }

    /// <summary>Makes a fast open option present; the cookie is handed to the writer.</summary>
    /// <param name="cookieLength">0 to ask for a cookie, or 4 to 16 and even.</param>
    /// <param name="isExperimental">In the form of the experiment: kind 254 with 0xF989.</param>
    /// <exception cref="ArgumentOutOfRangeException">Another length.</exception>
    public void SetFastOpen(int cookieLength, bool isExperimental = false)
    {
        if (!IsFastOpenCookieLength(cookieLength)) throw new ArgumentOutOfRangeException(nameof(cookieLength));
        CookieLength = (byte)cookieLength;
        _flags = (_flags & ~TcpOptionFlags.FastOpenExperimental) | TcpOptionFlags.FastOpen;
        if (isExperimental) _flags |= TcpOptionFlags.FastOpenExperimental;
    }

    /// <summary>
    /// Reads options. Unknown ones, ones with a length that is not theirs, and ones that have no meaning on such a segment are left out.
    /// </summary>
    /// <param name="bytes">The options, at most 40 bytes.</param>
    /// <param name="isSyn">Whether the segment has SYN: MSS, window scale, SACK-permitted and fast open count only there, SACK only elsewhere.</param>
    /// <param name="options">What was found; with malformed options, what came before the fault.</param>
    /// <returns>False when a length is illegal: less than two or beyond the end.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Parse(ReadOnlySpan<byte> bytes, bool isSyn, out TcpOptions options)
    {
        options = default;
        if (bytes.IsEmpty) return true;
        // RFC 7323 appendix A: nearly every segment of a connection with timestamps looks like this.
        if (bytes.Length == TimestampsLength && BinaryPrimitives.ReadUInt32BigEndian(bytes) == AlignedTimestamps)
        {
            options._tsVal = BinaryPrimitives.ReadUInt32BigEndian(bytes[4..]);
            options._tsEcr = BinaryPrimitives.ReadUInt32BigEndian(bytes[8..]);
            options._flags = TcpOptionFlags.Timestamps;
            return true;
        }

        return ParseAny(bytes, isSyn, ref options);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool ParseAny(ReadOnlySpan<byte> bytes, bool isSyn, ref TcpOptions options)
    {
        // Offsets are kept in bytes, and no header has more.
        if (bytes.Length > LengthMax) bytes = bytes[..LengthMax];
        int at = 0;
        // RFC 9293 MUST-5, MUST-64: any segment, any alignment.
        while (at < bytes.Length)
        {
            byte kind = bytes[at];
            if (kind == TcpOptionKind.EndOfList) return true;
            if (kind == TcpOptionKind.NoOperation)
            {
                at++;
                continue;
            }

            // RFC 9293 MUST-7, MUST-68: every other option has a length; one below two would never get on, and one beyond the end lies.
            if (at + 1 >= bytes.Length) return false;
            int length = bytes[at + 1];
            if (length < 2 || length > bytes.Length - at) return false;
            ReadOnlySpan<byte> option = bytes.Slice(at, length);
            // RFC 9293 MUST-6: what neither of these knows is passed over by its length.
            if (isSyn) options.TakeOnSyn(kind, option, at);
            else if (kind == TcpOptionKind.Sack) options.TakeSack(option[2..]);
            options.TakeAnywhere(kind, option, at);
            at += length;
        }

        return true;
    }

    private void TakeOnSyn(byte kind, ReadOnlySpan<byte> option, int at)
    {
        switch (kind)
        {
            // RFC 9293 MUST-4: with end of list and no-operation above. §3.2: MSS has no meaning but on a SYN.
            case TcpOptionKind.Mss when option.Length == 4:
                Mss = BinaryPrimitives.ReadUInt16BigEndian(option[2..]);
                break;
            // RFC 7323 §2.2: not on a SYN, it is ignored. §2.3: at most 14, which the type sees to.
            case TcpOptionKind.WindowScale when option.Length == 3:
                WindowScale = new WindowScale(option[2]);
                break;
            // RFC 2018 §2: must not be sent on a segment without SYN.
            case TcpOptionKind.SackPermitted when option.Length == 2:
                SackPermitted = true;
                break;
            // RFC 7413 §4.1.1: other lengths are ignored.
            case TcpOptionKind.FastOpen when IsFastOpenCookieLength(option.Length - 2):
                SetFastOpen(option.Length - 2);
                _fastOpenOffset = (byte)(at + 2);
                break;
            case TcpOptionKind.Experimental when option.Length >= FastOpenExperimentalLength && BinaryPrimitives.ReadUInt16BigEndian(option[2..]) == FastOpenExperiment
                && IsFastOpenCookieLength(option.Length - FastOpenExperimentalLength):
                SetFastOpen(option.Length - FastOpenExperimentalLength, isExperimental: true);
                _fastOpenOffset = (byte)(at + FastOpenExperimentalLength);
                break;
        }
    }

    private void TakeAnywhere(byte kind, ReadOnlySpan<byte> option, int at)
    {
        switch (kind)
        {
            case TcpOptionKind.Timestamps when option.Length == 10:
                SetTimestamps(BinaryPrimitives.ReadUInt32BigEndian(option[2..]), BinaryPrimitives.ReadUInt32BigEndian(option[6..]));
                break;
            case TcpOptionKind.UserTimeout when option.Length == 4:
                UserTimeoutField = BinaryPrimitives.ReadUInt16BigEndian(option[2..]);
                break;
            case TcpOptionKind.AccurateEcn0 or TcpOptionKind.AccurateEcn1:
                AccurateEcn = AccurateEcnOption.Read(kind, option[2..]);
                break;
            case TcpOptionKind.Md5 when option.Length == 18:
                (_authenticationOffset, _authenticationLength) = ((byte)at, (byte)option.Length);
                _flags |= TcpOptionFlags.Md5;
                break;
            // RFC 5925 §2.2: at least kind, length, key identifier and the one that is wanted next.
            case TcpOptionKind.Authentication when option.Length >= 4:
                (_authenticationOffset, _authenticationLength) = ((byte)at, (byte)option.Length);
                SetAuthentication(option[2], option[3]);
                break;
            case TcpOptionKind.Mptcp when option.Length >= 3 && !HasMptcp:
                (_mptcpOffset, _mptcpLength) = ((byte)at, (byte)option.Length);
                _flags |= TcpOptionFlags.Mptcp;
                break;
        }
    }

    private void TakeSack(ReadOnlySpan<byte> blocks)
    {
        if (blocks.Length % 8 != 0) return;
        for (; blocks.Length >= 8; blocks = blocks[8..])
        {
            TryAddSackBlock(new SackBlock(
                new SeqNumber(BinaryPrimitives.ReadUInt32BigEndian(blocks)), new SeqNumber(BinaryPrimitives.ReadUInt32BigEndian(blocks[4..]))));
        }
    }

    // RFC 7413 §4.1.1: 4 to 16 bytes and even, or none.
    private static bool IsFastOpenCookieLength(int length) => length == 0 || (length is >= 4 and <= 16 && length % 2 == 0);

    /// <inheritdoc/>
    public readonly bool Equals(TcpOptions other) =>
        _flags == other._flags && _tsVal == other._tsVal && _tsEcr == other._tsEcr && _mss == other._mss && Scale == other.Scale
        && _userTimeout == other._userTimeout && CookieLength == other.CookieLength && _keyId == other._keyId && _nextKeyId == other._nextKeyId
        && (!HasAccurateEcn || AccurateEcn == other.AccurateEcn) && SackBlocks.SequenceEqual(other.SackBlocks);

    /// <inheritdoc/>
    public override readonly bool Equals(object? obj) => obj is TcpOptions other && Equals(other);

    /// <inheritdoc/>
    public override readonly int GetHashCode() => (int)(_tsVal * 31 + _tsEcr) * 31 + (int)_flags + _mss;

    /// <summary>Whether two option sets mean the same; where they stood does not count.</summary>
    public static bool operator ==(in TcpOptions left, in TcpOptions right) => left.Equals(right);

    /// <summary>Whether two option sets differ.</summary>
    public static bool operator !=(in TcpOptions left, in TcpOptions right) => !left.Equals(right);

    /// <summary>Bytes of the fast open option without padding; 0 without one.</summary>
    internal readonly int FastOpenLength =>
        !HasFastOpen ? 0 : (IsFastOpenExperimental ? FastOpenExperimentalLength : 2) + CookieLength;

    /// <summary>Bytes that <see cref="WriteTo"/> writes: a multiple of 4, at most 40 for what fits.</summary>
    public readonly int EncodedLength => TcpOptionsWriter.LengthOf(this);

    /// <summary>
    /// Writes the options that a sender makes (not MPTCP; of signatures the frame only), aligned as usual, padded with NOPs.
    /// SACK blocks that do not fit into 40 bytes beside the rest are left out.
    /// </summary>
    /// <param name="destination">Where to write.</param>
    /// <param name="fastOpenCookie">As many bytes as <see cref="FastOpenCookieLength"/>, if there is a fast open option.</param>
    /// <returns>Bytes written: a multiple of 4.</returns>
    /// <exception cref="ArgumentException">The destination is too short, or the options or cookie do not fit.</exception>
    public readonly int WriteTo(Span<byte> destination, ReadOnlySpan<byte> fastOpenCookie = default) =>
        TcpOptionsWriter.Write(this, destination, fastOpenCookie);
}
