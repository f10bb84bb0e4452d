namespace Peregrine.Core.Tests.Demux;

public sealed class StackRandomTests
{
    [Fact]
    public void SplitMixGivesThePublishedSequence()
    {
        var state = 1_234_567UL;
        Assert.Equal(6_457_827_717_110_365_317u, StackRandom.SplitMix64(ref state));
        Assert.Equal(3_203_168_211_198_807_973u, StackRandom.SplitMix64(ref state));
        Assert.Equal(9_817_491_932_198_370_423u, StackRandom.SplitMix64(ref state));
    }

    [Fact]
    public void ASeedGivesTheSameSequenceForEver()
    {
        var random = new StackRandom(42);
        ulong[] expected = [0x1578_0B2E_0C2E_C716, 0x6104_D986_6D11_3A7E, 0xAE17_5332_39E4_99A1, 0xECB8_AD47_03B3_60A1];
        foreach (var value in expected) Assert.Equal(value, random.NextUInt64());
    }

    [Theory]
    [InlineData(1u)]
    [InlineData(3u)]
    [InlineData(1_000u)]
    [InlineData(0x8000_0001u)]
    [InlineData(uint.MaxValue)]
    public void RangeIsNeverLeft(uint bound)
    {
        var random = new StackRandom(bound);
        for (var i = 0; i < 10_000; i++) Assert.True(random.Next(bound) < bound);
    }

    [Fact]
    public void RangeIsUnbiased()
    {
        // With 3 × 2^30 values, a remainder of 32 bits would give the lowest third twice as often as the others.
        var random = new StackRandom(7);
        var counts = new int[3];
        for (var i = 0; i < 300_000; i++) counts[random.Next(3u << 30) >> 30]++;
        Assert.All(counts, count => Assert.InRange(count, 98_500, 101_500));
    }

    [Fact]
    public void EmptyRangeGivesZero() => Assert.Equal(0u, new StackRandom(1).Next(0));

    [Fact]
    [Trait("emulation", "throws")]
    public void SecretsDifferByUseAndBySeedAndAreNotPrinted()
    {
        StackSecrets one = StackSecrets.FromSeed(1), two = StackSecrets.FromSeed(2);
        UInt128[] keys = [one.DemuxKey, one.IsnKey, one.CookieKey, one.TimestampKey, one.PortKey, one.FlowLabelKey, one.IdentificationKey, two.DemuxKey];
        Assert.Equal(keys.Length, keys.Distinct().Count());
        Assert.Equal(one, StackSecrets.FromSeed(1));
        Assert.Equal("StackSecrets", one.ToString());
        Expect.Throw<ArgumentException>(() => StackSecrets.FromBytes(new byte[StackSecrets.ByteCount - 1]));
    }
}
