// Hashes and codes by the vectors of the documents that define them.
using System.Text;
using Peregrine.Core.Tcp.Authentication;

namespace Peregrine.Core.Tests.Tcp.Authentication;

public sealed class AlgorithmTests
{
    [Theory]
    [InlineData("", "d41d8cd98f00b204e9800998ecf8427e")]
    [InlineData("a", "0cc175b9c0f1b6a831c399e269772661")]
    [InlineData("abc", "900150983cd24fb0d6963f7d28e17f72")]
    [InlineData("message digest", "f96b697d7cb7938d525a2f31aaf161d0")]
    [InlineData("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", "d174ab98d277d9f5a5611c2c9f419d9f")]
    [InlineData("12345678901234567890123456789012345678901234567890123456789012345678901234567890", "57edf4a22be3c955ac49da2e2107b67a")]
    // RFC 1321 §A.5.
    public void Md5IsThatOfRfc1321(string text, string hash)
    {
        var md5 = default(Md5);
        md5.Begin();
        md5.Append(Encoding.ASCII.GetBytes(text));
        var result = new byte[Md5.Length];
        md5.Finish(result);
        Assert.Equal(hash, Convert.ToHexStringLower(result));
    }

    [Fact]
    // Every length around the ends of blocks, in pieces: beside the platform's.
    public void HashesAreThePlatformsForEveryLength()
    {
        var bytes = new byte[200];
        for (var i = 0; i < bytes.Length; i++) bytes[i] = (byte)(i * 7);
        for (var length = 0; length <= bytes.Length; length++)
        {
            var (md5, sha1) = (default(Md5), default(Sha1));
            md5.Begin();
            sha1.Begin();
            for (var at = 0; at < length; at += 13)
            {
                md5.Append(bytes.AsSpan(at, Math.Min(13, length - at)));
                sha1.Append(bytes.AsSpan(at, Math.Min(13, length - at)));
            }
            var (hash16, hash20) = (new byte[Md5.Length], new byte[Sha1.Length]);
            md5.Finish(hash16);
            sha1.Finish(hash20);
            Assert.Equal(System.Security.Cryptography.MD5.HashData(bytes.AsSpan(0, length)), hash16);
            Assert.Equal(System.Security.Cryptography.SHA1.HashData(bytes.AsSpan(0, length)), hash20);
        }
    }

    [Theory]
    [InlineData("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "4869205468657265", "b617318655057264e28bc0b6fb378c8ef146be00")]
    [InlineData("4a656665", "7768617420646f2079612077616e7420666f72206e6f7468696e673f", "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79")]
    // RFC 2202 §3, cases 1 and 2.
    public void HmacIsThatOfRfc2202(string key, string text, string mac)
    {
        var hmac = default(HmacSha1);
        hmac.Begin(Convert.FromHexString(key));
        hmac.Append(Convert.FromHexString(text));
        var result = new byte[Sha1.Length];
        hmac.Finish(result);
        Assert.Equal(mac, Convert.ToHexStringLower(result));
    }

    [Fact]
    // RFC 2202 §3, case 6: a key longer than a block.
    public void HmacHashesALongKey()
    {
        var hmac = default(HmacSha1);
        hmac.Begin(Enumerable.Repeat((byte)0xAA, 80).ToArray());
        hmac.Append("Test Using Larger Than Block-Size Key - Hash Key First"u8);
        var result = new byte[Sha1.Length];
        hmac.Finish(result);
        Assert.Equal("aa4ae5e15272d00e95705637ce8a3b55ed402112", Convert.ToHexStringLower(result));
    }

    [Theory]
    [InlineData(0, "bb1d6929e95937287fa37d129b756746")]
    [InlineData(16, "070a16b46b4d4144f79bdd9dd04a287c")]
    [InlineData(40, "dfa66747de9ae63030ca32611497c827")]
    [InlineData(64, "51f0bebf7e3b9d92fc49741779363cfe")]
    // RFC 4493 §4.
    public void CmacIsThatOfRfc4493(int length, string mac)
    {
        var message = Convert.FromHexString(
            "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710");
        var cmac = default(AesCmac);
        cmac.Begin(Convert.FromHexString("2b7e151628aed2a6abf7158809cf4f3c"));
        cmac.Append(message.AsSpan(0, length));
        var result = new byte[AesCmac.Length];
        cmac.Finish(result);
        Assert.Equal(mac, Convert.ToHexStringLower(result));
    }

    [Fact]
    // FIPS 197 §B: by instructions and by table.
    public void CipherIsThatOfFips197()
    {
        var cipher = default(Aes128);
        cipher.Begin(Convert.FromHexString("2b7e151628aed2a6abf7158809cf4f3c"));
        var (block, byTable) = (Convert.FromHexString("3243f6a8885a308d313198a2e0370734"), Convert.FromHexString("3243f6a8885a308d313198a2e0370734"));
        cipher.Encrypt(block);
        cipher.EncryptByTable(byTable);
        Assert.Equal("3925841d02dc09fbdc118597196a0b32", Convert.ToHexStringLower(block));
        Assert.Equal(block, byTable);
    }
}
