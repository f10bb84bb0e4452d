// The script's side of PSP (PSP Architecture Specification, version 0 in transport mode): seals what a script sends with the stack's key, and opens
// what the stack sends with the script's. A script calls a key of the stack's what it likes; its own have the numbers that it gives them.
using System.Buffers.Binary;
using System.Security.Cryptography;
using Peregrine.Core.Tcp.Psp;
using Peregrine.Wire;

namespace Peregrine.Scripting.Running;

/// <summary>Keys of one script.</summary>
/// <param name="port">PSP's UDP port.</param>
internal sealed class ScriptPsp(int port)
{
    private const int HeaderLength = 16, TagLength = 16, Before = UdpHeader.Length + HeaderLength;

    private readonly Dictionary<long, PspKey> _ofStack = [];
    private readonly Dictionary<uint, PspKey> _ofScript = [];
    private ulong _lastIv;

    internal int Port { get; } = port;

    /// <summary>The stack has made a key, which the script calls that.</summary>
    internal void Learn(long spi, PspKey key) => _ofStack[spi] = key;

    /// <summary>The script's key of that number.</summary>
    internal PspKey Make(uint spi)
    {
        if (!_ofScript.TryGetValue(spi, out var key)) _ofScript[spi] = key = new PspKey(spi, new UInt128(0x5053_5020_6B65_7920, spi));
        return key;
    }

    private static byte[] KeyBytes(PspKey key)
    {
        var bytes = new byte[16];
        BinaryPrimitives.WriteUInt128BigEndian(bytes, key.Key);
        return bytes;
    }

    /// <summary>A packet whose transport is a segment, with that in a PSP packet instead. What no key is known for goes under the number that the script says.</summary>
    internal byte[] Seal(byte[] packet, long spi)
    {
        var header = packet[0] >> 4 == 4 ? 20 : 40;
        var segment = packet.AsSpan(header);
        var sealedPacket = new byte[packet.Length + Before + TagLength];
        packet.AsSpan(0, header).CopyTo(sealedPacket);
        var udp = sealedPacket.AsSpan(header);
        BinaryPrimitives.WriteUInt16BigEndian(udp, 0xC000);
        BinaryPrimitives.WriteUInt16BigEndian(udp[2..], (ushort)Port);
        BinaryPrimitives.WriteUInt16BigEndian(udp[4..], (ushort)udp.Length);
        var psp = udp[UdpHeader.Length..];
        var key = _ofStack.GetValueOrDefault(spi, new PspKey((uint)spi, UInt128.One));
        // Next header, length behind the first 8 bytes, nothing in clear text, version 0 with the bit that is always set.
        (psp[0], psp[1], psp[3]) = (IpProtocol.Tcp, 1, 1);
        BinaryPrimitives.WriteUInt32BigEndian(psp[4..], key.Spi);
        BinaryPrimitives.WriteUInt64BigEndian(psp[8..], ++_lastIv);
        using var cipher = new AesGcm(KeyBytes(key), TagLength);
        cipher.Encrypt(psp[4..HeaderLength], segment, psp.Slice(HeaderLength, segment.Length), psp[^TagLength..], psp[..HeaderLength]);
        Finish(sealedPacket, header, IpProtocol.Udp);
        return sealedPacket;
    }

    /// <summary>A packet of the stack's: when it is one of PSP's, the packet that is in it.</summary>
    /// <returns>The number of the key, or 0 with the packet as it was.</returns>
    /// <exception cref="ScriptFailedException">It cannot be opened.</exception>
    internal uint Open(ref byte[] packet)
    {
        var isV4 = packet[0] >> 4 == 4;
        var header = isV4 ? 20 : 40;
        if ((isV4 ? packet[9] : packet[6]) != IpProtocol.Udp || packet.Length < header + Before + TagLength) return 0;
        var udp = packet.AsSpan(header);
        if (BinaryPrimitives.ReadUInt16BigEndian(udp[2..]) != Port) return 0;
        var psp = udp[UdpHeader.Length..];
        var spi = BinaryPrimitives.ReadUInt32BigEndian(psp[4..]);
        if (psp[0] != IpProtocol.Tcp || psp[1] != 1 || psp[2] != 0 || psp[3] != 1 || !_ofScript.TryGetValue(spi, out var key)) throw new ScriptFailedException($"a PSP packet of the SPI {spi} cannot be opened");
        var opened = new byte[packet.Length - Before - TagLength];
        packet.AsSpan(0, header).CopyTo(opened);
        using var cipher = new AesGcm(KeyBytes(key), TagLength);
        try
        {
            cipher.Decrypt(psp[4..HeaderLength], psp[HeaderLength..^TagLength], psp[^TagLength..], opened.AsSpan(header), psp[..HeaderLength]);
        }
        catch (AuthenticationTagMismatchException)
        {
            throw new ScriptFailedException($"a PSP packet of the SPI {spi} is not sealed with its key");
        }
        Finish(opened, header, IpProtocol.Tcp);
        packet = opened;
        return spi;
    }

    private static void Finish(byte[] packet, int header, byte protocol)
    {
        if (header == 40)
        {
            BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(4), (ushort)(packet.Length - header));
            packet[6] = protocol;
            return;
        }
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(2), (ushort)packet.Length);
        packet[9] = protocol;
        (packet[10], packet[11]) = (0, 0);
        InternetChecksum.Store(packet.AsSpan(10), InternetChecksum.Sum(packet.AsSpan(0, header)));
    }
}
