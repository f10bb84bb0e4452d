using System.Buffers.Binary;

namespace Peregrine.Wire.Tests;

public class ChecksumTests
{
    /// <summary>RFC 1071 read aloud: big-endian words, end-around carry, odd byte padded on the right.</summary>
    private static ushort Naive(ReadOnlySpan<byte> bytes)
    {
        uint sum = 0;
        for (int i = 0; i < bytes.Length; i += 2)
        {
            sum += (uint)(bytes[i] << 8 | (i + 1 < bytes.Length ? bytes[i + 1] : 0));
            if (sum > 0xFFFF) sum = (sum & 0xFFFF) + 1;
        }

        return (ushort)sum;
    }

    /// <summary>A partial sum as the big-endian word that it stands for.</summary>
    private static ushort Word(uint sum)
    {
        Assert.True(sum <= 0xFFFF);
        Span<byte> bytes = stackalloc byte[2];
        InternetChecksum.StorePartial(bytes, sum);
        return BinaryPrimitives.ReadUInt16BigEndian(bytes);
    }

    private static byte[] Pattern(int length, int kind, Random random)
    {
        byte[] bytes = new byte[length];
        if (kind == 0) random.NextBytes(bytes);
        else bytes.AsSpan().Fill(kind == 1 ? (byte)0xFF : (byte)0);
        return bytes;
    }

    [Fact]
    public void EveryLengthAndAlignmentAgreesWithTheReference()
    {
        var random = new Random(1071);
        using var guarded = new GuardedBuffer(1024);
        using var target = new GuardedBuffer(1024);
        for (int length = 0; length <= 300; length++)
        {
            for (int kind = 0; kind < 3; kind++)
            {
                byte[] bytes = Pattern(length, kind, random);
                ushort expected = Naive(bytes);
                // Flush with the guard before and behind, then at offsets in between.
                for (int shift = 0; shift <= 8; shift++)
                {
                    Span<byte> source = guarded.AtEnd(length + shift)[..length];
                    bytes.CopyTo(source);
                    CheckAll(source, expected, target);
                }

                Span<byte> atStart = guarded.AtStart(length);
                bytes.CopyTo(atStart);
                CheckAll(atStart, expected, target);
            }
        }
    }

    private static void CheckAll(ReadOnlySpan<byte> source, ushort expected, GuardedBuffer target)
    {
        Assert.Equal(expected, Word(InternetChecksum.Sum(source)));
        ref byte first = ref System.Runtime.InteropServices.MemoryMarshal.GetReference(source);
        Assert.Equal(expected, Word(InternetChecksum.Fold(InternetChecksum.SumScalar(ref first, source.Length))));
        Assert.Equal(expected, Word(InternetChecksum.Fold(InternetChecksum.SumVector128(ref first, source.Length))));
        Assert.Equal(expected, Word(InternetChecksum.Fold(InternetChecksum.SumVector256(ref first, source.Length))));
        for (int way = 0; way < 4; way++)
        {
            Span<byte> copy = target.AtEnd(source.Length);
            copy.Fill(0x5A);
            ref byte to = ref System.Runtime.InteropServices.MemoryMarshal.GetReference(copy);
            uint sum = way switch
            {
                0 => InternetChecksum.CopyAndSum(source, copy),
                1 => InternetChecksum.Fold(InternetChecksum.CopyAndSumScalar(ref first, ref to, source.Length)),
                2 => InternetChecksum.Fold(InternetChecksum.CopyAndSumVector128(ref first, ref to, source.Length)),
                _ => InternetChecksum.Fold(InternetChecksum.CopyAndSumVector256(ref first, ref to, source.Length)),
            };
            Assert.Equal(expected, Word(sum));
            Assert.True(source.SequenceEqual(copy));
        }
    }

    [Theory]
    [InlineData(1460)]
    [InlineData(9001)]
    [InlineData(65535)]
    [InlineData(65536)]
    [InlineData(4_000_003)]
    public void LargeInputsAgreeWithTheReference(int length)
    {
        var random = new Random(length);
        using var target = new GuardedBuffer(length);
        for (int kind = 0; kind < 3; kind++)
        {
            byte[] bytes = Pattern(length, kind, random);
            CheckAll(bytes, Naive(bytes), target);
        }
    }

    [Fact]
    public void CopyLeavesWhatFollowsAlone()
    {
        byte[] source = Pattern(100, 0, new Random(1));
        byte[] target = new byte[120];
        InternetChecksum.CopyAndSum(source, target);
        Assert.All(target[100..], b => Assert.Equal(0, b));
        Expect.Throw<ArgumentException>(() => InternetChecksum.CopyAndSum(source, new byte[99]));
    }

    [Fact]
    public void PartsSumToTheWholeWhereverItIsCut()
    {
        byte[] bytes = Pattern(301, 0, new Random(2));
        ushort expected = Naive(bytes);
        for (int cut = 0; cut <= bytes.Length; cut++)
        {
            uint a = InternetChecksum.Sum(bytes.AsSpan(0, cut));
            uint b = InternetChecksum.Sum(bytes.AsSpan(cut));
            Assert.Equal(expected, Word(InternetChecksum.Combine(a, b, bStartsOdd: cut % 2 == 1)));
            if (cut % 2 == 0) Assert.Equal(expected, Word(InternetChecksum.Sum(bytes.AsSpan(cut), a)));
        }
    }

    [Fact]
    public void FoldIsTheSumOfTheWordsWithEachCarryAddedAgain()
    {
        ulong[] edges = [0, 1, 0xFFFF, 0x1_0000, 0xFFFF_0000, 0xFFFF_FFFF, 0x1_0000_0000, 0xFFFF_FFFF_0000_0000, 0xFFFF_FFFE_FFFF_FFFF, ulong.MaxValue - 1, ulong.MaxValue];
        Random random = new(7);
        foreach (ulong sum in edges.Concat(Enumerable.Range(0, 10_000).Select(_ => (ulong)random.NextInt64(long.MinValue, long.MaxValue))))
        {
            ulong expected = (sum & 0xFFFF) + ((sum >> 16) & 0xFFFF) + ((sum >> 32) & 0xFFFF) + (sum >> 48);
            while (expected > 0xFFFF) expected = (expected & 0xFFFF) + (expected >> 16);
            Assert.Equal(expected, InternetChecksum.Fold(sum));
        }
    }

    [Fact]
    public void InitialSumsOfAnySizeAreFolded()
    {
        byte[] bytes = [0x12, 0x34];
        Assert.Equal(Word(InternetChecksum.Sum(bytes)), Word(InternetChecksum.Sum(bytes, 0xFFFF)));
        Assert.Equal(Word(InternetChecksum.Sum(bytes)), Word(InternetChecksum.Sum(bytes, 0xFFFF_FFFF)));
        Assert.Equal(0u, InternetChecksum.Sum(default));
        Assert.True(InternetChecksum.IsValid(0xFFFF_FFFF));
        Assert.False(InternetChecksum.IsValid(0));
    }

    [Fact]
    public void ExampleOfRfc1071IsReproduced()
    {
        // RFC 1071 §3: 00 01 f2 03 f4 f5 f6 f7 sums to ddf2, its checksum is 220d.
        byte[] bytes = [0x00, 0x01, 0xF2, 0x03, 0xF4, 0xF5, 0xF6, 0xF7];
        uint sum = InternetChecksum.Sum(bytes);
        Assert.Equal(0xDDF2, Word(sum));
        byte[] stored = new byte[2];
        InternetChecksum.Store(stored, sum);
        Assert.Equal([0x22, 0x0D], stored);
        Assert.True(InternetChecksum.IsValid(InternetChecksum.Sum([.. bytes, .. stored])));
    }

    [Fact]
    public void UpdateAgreesWithSummingAnew()
    {
        var random = new Random(1624);
        byte[] bytes = new byte[20];
        byte[] stored = new byte[2];
        for (int i = 0; i < 20_000; i++)
        {
            random.NextBytes(bytes);
            // Words of zero and of all ones are where the older equations went wrong.
            int at = random.Next(9) * 2;
            if (i % 3 == 0) BinaryPrimitives.WriteUInt16BigEndian(bytes.AsSpan(at), i % 2 == 0 ? (ushort)0 : (ushort)0xFFFF);
            InternetChecksum.Store(stored, InternetChecksum.Sum(bytes));
            ushort before = BinaryPrimitives.ReadUInt16BigEndian(stored);
            uint oldValue = BinaryPrimitives.ReadUInt32BigEndian(bytes.AsSpan(at));
            uint newValue = i % 5 == 0 ? 0 : i % 7 == 0 ? uint.MaxValue : (uint)random.NextInt64();
            BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan(at), newValue);
            InternetChecksum.Store(stored, InternetChecksum.Sum(bytes));
            ushort after = BinaryPrimitives.ReadUInt16BigEndian(stored);
            ushort updated = InternetChecksum.Update(before, oldValue, newValue);
            // ffff and 0000 are the two zeros; which one, only the bytes tell, but both must verify.
            bool same = updated == after || (updated is 0 or 0xFFFF && after is 0 or 0xFFFF);
            Assert.True(same, $"{before:x4} {oldValue:x8} -> {newValue:x8}: {updated:x4} and not {after:x4}");
        }
    }

    [Fact]
    public void UpdateReproducesTheExampleOfRfc1624()
    {
        // RFC 1624 §4: from 5555 to 3285 with a checksum of dd2f, the new one is 0000 and not ffff.
        Assert.Equal(0x0000, InternetChecksum.Update(0xDD2F, (ushort)0x5555, (ushort)0x3285));
        // Without a change nothing changes.
        Assert.Equal(0xDD2F, InternetChecksum.Update(0xDD2F, (ushort)0x5555, (ushort)0x5555));
        Assert.Equal(0x0000, InternetChecksum.Update(0x0000, (ushort)0x1234, (ushort)0x1234));
    }

    [Theory]
    [InlineData("192.0.2.1", "198.51.100.7")]
    [InlineData("255.255.255.255", "255.255.255.255")]
    [InlineData("0.0.0.0", "0.0.0.0")]
    [InlineData("2001:db8::1", "fe80::ffff:1")]
    [InlineData("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")]
    public void PseudoHeaderAgreesWithItsPicture(string from, string to)
    {
        IpAddress source = IpAddress.Parse(from), destination = IpAddress.Parse(to);
        foreach (int length in (int[])[0, 1, 20, 1480, 65535, 70_000])
        {
            byte[] picture = new byte[source.Length * 2 + 8];
            source.WriteTo(picture);
            destination.WriteTo(picture.AsSpan(source.Length));
            // RFC 8200 §8.1's 32-bit length and next header; RFC 9293 §3.1's differs only where the zeros stand.
            BinaryPrimitives.WriteInt32BigEndian(picture.AsSpan(source.Length * 2), length);
            picture[^1] = 6;
            Assert.Equal(Naive(picture), Word(InternetChecksum.PseudoHeader(source, destination, 6, length)));
        }
    }

    [Fact]
    public void UdpNeverSendsAChecksumOfZero()
    {
        Assert.Equal(0, InternetChecksum.Finish(0xFFFF));
        Assert.Equal(0xFFFF, InternetChecksum.FinishUdp(0xFFFF));
        Assert.Equal(InternetChecksum.Finish(0x1234), InternetChecksum.FinishUdp(0x1234));
    }
}
