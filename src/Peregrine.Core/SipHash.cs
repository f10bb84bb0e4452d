// SipHash-1-3 and SipHash-2-4 (Aumasson and Bernstein, 2012): the keyed hash behind the demux table, sequence numbers, cookies and ports.
// Not a general digest: 64 bits, for short inputs, safe only while the key is secret.
// The forms for tuples give exactly the hash of the bytes that WriteTuple describes, without laying them out in memory.
using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.CompilerServices;
using Peregrine.Wire;

namespace Peregrine.Core;

/// <summary>SipHash with 64 bits of result. The key's low half is k0, its high half k1.</summary>
internal static class SipHash
{
    /// <summary>Bytes of the longest tuple in the form that is hashed.</summary>
    internal const int TupleBytesMax = 36;

    /// <summary>SipHash-1-3: one round a word, three to finish. For tables that a remote may fill but whose hashes it never sees.</summary>
    public static ulong Hash13(UInt128 key, ReadOnlySpan<byte> bytes) => HashBytes(key, bytes, 1, 3);

    /// <summary>SipHash-2-4: for values of which a remote sees a part (sequence numbers, cookies, timestamps, ports).</summary>
    public static ulong Hash24(UInt128 key, ReadOnlySpan<byte> bytes) => HashBytes(key, bytes, 2, 4);

    /// <summary>SipHash-1-3 of a connection's tuple.</summary>
    // Not inlined into its callers: there the compiler's budget for inlining runs out half-way through the rounds, which costs more.
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static ulong Hash13(UInt128 key, in IpAddress local, ushort localPort, in IpAddress remote, ushort remotePort)
    {
        var state = new State(key);
        ulong ports = ((uint)localPort << 16) | remotePort;
        if (local.IsIPv4 && remote.IsIPv4)
        {
            state.Absorb1((local.Low << 32) | remote.ToIPv4());
            return state.Finish13(ports | (12UL << 56));
        }
        state.Absorb1(local.High);
        state.Absorb1(local.Low);
        state.Absorb1(remote.High);
        state.Absorb1(remote.Low);
        return state.Finish13(ports | (36UL << 56));
    }

    /// <summary>SipHash-1-3 of an address and a number: of the 20 bytes that they are, each word in host order.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static ulong Hash13(UInt128 key, in IpAddress address, uint more)
    {
        var state = new State(key);
        state.Absorb1(address.High);
        state.Absorb1(address.Low);
        return state.Finish13(more | (20UL << 56));
    }

    /// <summary>SipHash-2-4 of a connection's tuple.</summary>
    public static ulong Hash24(UInt128 key, in IpAddress local, ushort localPort, in IpAddress remote, ushort remotePort)
    {
        var state = new State(key);
        var length = state.AbsorbAddresses(local, remote);
        ulong ports = ((uint)localPort << 16) | remotePort;
        return state.Finish24(ports | ((length + 4) << 56));
    }

    /// <summary>SipHash-2-4 of a connection's tuple with two more words before it.</summary>
    public static ulong Hash24(UInt128 key, ulong first, ulong second, in IpAddress local, ushort localPort, in IpAddress remote, ushort remotePort)
    {
        var state = new State(key);
        state.Absorb2(first);
        state.Absorb2(second);
        var length = state.AbsorbAddresses(local, remote);
        ulong ports = ((uint)localPort << 16) | remotePort;
        return state.Finish24(ports | ((length + 20) << 56));
    }

    /// <summary>Writes what the forms for tuples hash: for tests, and so that the form is stated once. Returns the count of bytes.</summary>
    internal static int WriteTuple(Span<byte> bytes, in IpAddress local, ushort localPort, in IpAddress remote, ushort remotePort)
    {
        var at = 0;
        if (local.IsIPv4 && remote.IsIPv4)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(bytes, (local.Low << 32) | remote.ToIPv4());
            at = 8;
        }
        else
        {
            foreach (var word in (ReadOnlySpan<ulong>)[local.High, local.Low, remote.High, remote.Low])
            {
                BinaryPrimitives.WriteUInt64LittleEndian(bytes[at..], word);
                at += 8;
            }
        }
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[at..], ((uint)localPort << 16) | remotePort);
        return at + 4;
    }

    private static ulong HashBytes(UInt128 key, ReadOnlySpan<byte> bytes, int rounds, int finalRounds)
    {
        var state = new State(key);
        var last = (ulong)bytes.Length << 56;
        while (bytes.Length >= 8)
        {
            state.Absorb(BinaryPrimitives.ReadUInt64LittleEndian(bytes), rounds);
            bytes = bytes[8..];
        }
        for (var i = 0; i < bytes.Length; i++) last |= (ulong)bytes[i] << (8 * i);
        state.Absorb(last, rounds);
        return state.Finish(finalRounds);
    }

    private struct State
    {
        private ulong _v0, _v1, _v2, _v3;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public State(UInt128 key)
        {
            ulong k0 = (ulong)key, k1 = (ulong)(key >> 64);
            _v0 = k0 ^ 0x736F_6D65_7073_6575;
            _v1 = k1 ^ 0x646F_7261_6E64_6F6D;
            _v2 = k0 ^ 0x6C79_6765_6E65_7261;
            _v3 = k1 ^ 0x7465_6462_7974_6573;
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Absorb1(ulong word)
        {
            _v3 ^= word;
            Round();
            _v0 ^= word;
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Absorb2(ulong word)
        {
            _v3 ^= word;
            Round();
            Round();
            _v0 ^= word;
        }

        public void Absorb(ulong word, int rounds)
        {
            _v3 ^= word;
            for (var i = 0; i < rounds; i++) Round();
            _v0 ^= word;
        }

        /// <summary>Absorbs both addresses and returns how many bytes that was.</summary>
        public ulong AbsorbAddresses(in IpAddress local, in IpAddress remote)
        {
            if (local.IsIPv4 && remote.IsIPv4)
            {
                Absorb2((local.Low << 32) | remote.ToIPv4());
                return 8;
            }
            Absorb2(local.High);
            Absorb2(local.Low);
            Absorb2(remote.High);
            Absorb2(remote.Low);
            return 32;
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public ulong Finish13(ulong last)
        {
            Absorb1(last);
            _v2 ^= 0xFF;
            Round();
            Round();
            Round();
            return _v0 ^ _v1 ^ _v2 ^ _v3;
        }

        public ulong Finish24(ulong last)
        {
            Absorb2(last);
            return Finish(4);
        }

        public ulong Finish(int rounds)
        {
            _v2 ^= 0xFF;
            for (var i = 0; i < rounds; i++) Round();
            return _v0 ^ _v1 ^ _v2 ^ _v3;
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private void Round()
        {
            _v0 += _v1;
            _v2 += _v3;
            _v1 = BitOperations.RotateLeft(_v1, 13) ^ _v0;
            _v3 = BitOperations.RotateLeft(_v3, 16) ^ _v2;
            _v0 = BitOperations.RotateLeft(_v0, 32);
            _v2 += _v1;
            _v0 += _v3;
            _v1 = BitOperations.RotateLeft(_v1, 17) ^ _v2;
            _v3 = BitOperations.RotateLeft(_v3, 21) ^ _v0;
            _v2 = BitOperations.RotateLeft(_v2, 32);
        }
    }
}
