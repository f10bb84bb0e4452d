// The command line: what iperf3 3.12 said to each of these, word for word; amounts and rates as it prints them.
using System.Text.Json.Nodes;

namespace Peregrine.Iperf3.Tests;

public sealed class CommandLineTests
{
    [Theory]
    [InlineData("", "parameter error - must either be a client (-c) or server (-s)")]
    [InlineData("-s -c x", "parameter error - cannot be both server and client")]
    [InlineData("-c h -P 200", "parameter error - number of parallel streams too large (maximum = 128)")]
    [InlineData("-c h -t 100000", "parameter error - test duration too long (maximum = 86400 seconds)")]
    [InlineData("-c h -l 2M", "parameter error - block size too large (maximum = 1048576 bytes)")]
    [InlineData("-c h -u -l 10", "parameter error - block size invalid (minimum = 16 bytes, maximum = 65507 bytes)")]
    [InlineData("-c h -u -l 70000", "parameter error - block size invalid (minimum = 16 bytes, maximum = 65507 bytes)")]
    [InlineData("-c h -i 0.01", "parameter error - invalid report interval (min = 0.1, max = 60 seconds)")]
    [InlineData("-c h -w 1G", "parameter error - socket buffer size too large (maximum = 536870912 bytes)")]
    [InlineData("-c h -M 20000", "parameter error - TCP MSS too large (maximum = 9216 bytes)")]
    [InlineData("-s -u", "parameter error - some option you are trying to set is client only")]
    [InlineData("-s -R", "parameter error - some option you are trying to set is client only")]
    [InlineData("-c h -1", "parameter error - some option you are trying to set is server only")]
    [InlineData("-c h -R --bidir", "parameter error - cannot be both reverse and bidirectional")]
    [InlineData("-c h -t 3 -n 5", "parameter error - only one test end condition (-t, -n, -k) may be specified")]
    [InlineData("-c h -O 100", "parameter error - bogus value for --omit")]
    [InlineData("-c h -S 300", "parameter error - bad TOS value (must be between 0 and 255 inclusive)")]
    [InlineData("-c h --dscp foo", "parameter error - bad TOS value (must be between 0 and 255 inclusive)")]
    [InlineData("-c h -b 1M/2000", "parameter error - invalid burst count (maximum = 1000)")]
    [InlineData("-c h -f x", "parameter error - bad format specifier (valid formats are in the set [kmgtKMGT])")]
    [InlineData("-c h -p 99999", "parameter error - port number must be between 1 and 65535 inclusive")]
    [InlineData("-c h -p abc", "parameter error - port number must be between 1 and 65535 inclusive")]
    [InlineData("-c h --cport 0", "parameter error - port number must be between 1 and 65535 inclusive")]
    [InlineData("-c h --rcv-timeout 1000", "parameter error - client receive timeout is valid only in receiving mode: ")]
    [InlineData("-c h --rcv-timeout 10", "parameter error - receive timeout value is incorrect or not in range: ")]
    [InlineData("-s --idle-timeout 0", "parameter error - idle timeout parameter is not positive or larger than allowed limit")]
    [InlineData("-s --rsa-private-key-path x", "parameter error - you must specify a path to a valid RSA private key and a user credential file")]
    [InlineData("-c h --username a", "parameter error - you must specify a username, password, and path to a valid RSA public key")]
    [InlineData("-c h -Q", "invalid option -- 'Q'")]
    [InlineData("-c", "option requires an argument -- 'c'")]
    public void WrongOptionsAreRefusedInIperf3sWords(string arguments, string words)
    {
        Assert.False(Iperf3Arguments.TryParse(arguments.Split(' ', StringSplitOptions.RemoveEmptyEntries), out _, out var error));
        Assert.Equal("iperf3: " + words, error);
    }

    [Theory]
    [InlineData("-c h --sctp", "there is no SCTP in this stack")]
    [InlineData("-c h -L 5", "the stack chooses IPv6 flow labels itself")]
    [InlineData("-s -D", "-D has no meaning here")]
    public void WhatHasNoMeaningHereSaysSo(string arguments, string words)
    {
        Assert.False(Iperf3Arguments.TryParse(arguments.Split(' '), out _, out var error));
        Assert.Contains(words, error, StringComparison.Ordinal);
    }

    [Fact]
    public void OptionsAreBundledJoinedAndShortened()
    {
        string[] arguments = ["-uRchost", "-b10M/5", "--par=3", "--udp-c", "-S0x10", "--set-mss", "1000"];
        Assert.True(Iperf3Arguments.TryParse(arguments, out var o, out var error), error);
        var test = o.Test;
        Assert.Equal((true, true, "host", 10e6, 5, 3, true, 16, 1000), (test.Udp, test.Reverse, o.Host, test.Bitrate, test.Burst, test.Parallel, test.UdpCounters64Bit, test.Tos, test.Mss));
    }

    [Theory]
    [InlineData("", """{"tcp":true,"omit":0,"time":10,"num":0,"blockcount":0,"parallel":1,"len":131072,"pacing_timer":1000,"client_version":"3.12"}""")]
    [InlineData("-u -b 10M/5 --udp-counters-64bit -l 32768",
        """{"udp":true,"omit":0,"time":10,"num":0,"blockcount":0,"parallel":1,"len":32768,"bandwidth":10000000,"pacing_timer":1000,"burst":5,"udp_counters_64bit":1,"client_version":"3.12"}""")]
    [InlineData("-t 3 -O 1 -P 3 -b 1G -w 100K -M 1000 -N -S 0x10 -l 1000 -C cubic -T tit --extra-data xx --get-server-output --repeating-payload --pacing-timer 500",
        """{"tcp":true,"omit":1,"time":3,"num":0,"blockcount":0,"MSS":1000,"nodelay":true,"parallel":3,"window":102400,"len":1000,"bandwidth":1000000000,"pacing_timer":500,"TOS":16,"title":"tit","extra_data":"xx","congestion":"cubic","get_server_output":1,"repeating_payload":1,"client_version":"3.12"}""")]
    public void ParametersAreWhatIperf3Sends(string arguments, string json)
    {
        Assert.True(Iperf3Arguments.TryParse(["-c", "h", .. arguments.Split(' ', StringSplitOptions.RemoveEmptyEntries)], out var options, out var error), error);
        var parameters = TestParameters.From(options, 1448, 0, null);
        Assert.Equal(json, JsonText.PrintOneLine(parameters.ToJson()));
        Assert.Equal(parameters, TestParameters.Read(JsonNode.Parse(json)!.AsObject()));
    }

    [Theory]
    [InlineData(0, "0.00 Bytes")]
    [InlineData(131072, " 128 KBytes")]
    [InlineData(79640, "77.8 KBytes")]
    [InlineData(1047552, "1023 KBytes")]
    [InlineData(1321205760, "1.23 GBytes")]
    public void AmountsHaveFourPlaces(double bytes, string text) => Assert.Equal(text, Units.Bytes(bytes));

    [Theory]
    [InlineData(131072, 'a', "1.05 Mbits")]
    [InlineData(131072, 'k', "1049 Kbits")]
    [InlineData(131072, 'M', "0.12 MBytes")]
    [InlineData(0, 'a', "0.00 bits")]
    public void RatesFollowTheFormat(double bytes, char format, string text) => Assert.Equal(text, Units.Rate(bytes, format));

    [Theory]
    [InlineData(0, "0")]
    [InlineData(12.34, "12")]
    [InlineData(0.1234, "0.12")]
    [InlineData(100, "1e+02")]
    [InlineData(0.00001234, "1.2e-05")]
    public void PercentAreAsPrintfHasThem(double value, string text) => Assert.Equal(text, Units.TwoDigits(value));

    [Fact]
    public void JsonIsIndentedAsIperf3Does()
    {
        var json = new JsonObject { ["a"] = new JsonArray(new JsonObject { ["b"] = 1.5 }, new JsonObject { ["c"] = true }), ["d"] = new JsonObject() };
        Assert.Equal("{\n\t\"a\":\t[{\n\t\t\t\"b\":\t1.5\n\t\t}, {\n\t\t\t\"c\":\ttrue\n\t\t}],\n\t\"d\":\t{\n\t}\n}", JsonText.Print(json));
    }

    [Fact]
    public void OfANameThatStandsTwiceTheLastCounts() => Assert.Equal(2, JsonText.Long(JsonText.TryRead("{\"a\":1,\"a\":2}"u8), "a"));

    [Fact]
    public void MinusOneAsUnsignedIsMinusOne() =>
        Assert.Equal(-1, JsonText.Long(JsonText.TryRead("{\"retransmits\":18446744073709551615}"u8), "retransmits"));
}
