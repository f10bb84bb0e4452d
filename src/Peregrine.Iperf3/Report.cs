// What is shown of a test, and when. Two ways to show it: TextReport and JsonReport.
using System.Net;
using System.Text.Json.Nodes;

namespace Peregrine.Iperf3;

internal abstract class Report
{
    /// <summary>What iperf3 calls itself in its first line and in its JSON.</summary>
    internal const string Version = "iperf " + TestParameters.ClientVersion;

    /// <summary>What has been shown, for the client that asked for it; null when nobody asked.</summary>
    internal virtual JsonNode? Captured => null;

    /// <summary>The server waits for its next test.</summary>
    internal abstract void Listening(int port, int number);

    /// <summary>The client begins to connect.</summary>
    internal abstract void Connecting(Iperf3Options options);

    /// <summary>The client has its control connection.</summary>
    internal abstract void Connected(Iperf3Options options, TestParameters parameters, string cookie, int controlMss, DateTimeOffset now);

    /// <summary>The server has agreed to a test.</summary>
    internal abstract void Accepted(TestParameters parameters, IPEndPoint? remote, string cookie, DateTimeOffset now);

    internal abstract void StreamConnected(TestStream stream);

    internal abstract void Started(Iperf3Test test);

    internal abstract void Interval(Iperf3Test test, List<StreamInterval> intervals);

    internal abstract void Summary(Iperf3Test test);

    /// <summary>The client's test is well and over.</summary>
    internal abstract void Done(Iperf3Test test);

    /// <summary>The server's test is well and over.</summary>
    internal abstract void ServerDone(Iperf3Test test);

    /// <summary>The test or the program ends with an error.</summary>
    /// <param name="kind">"error" or "interrupt", or empty.</param>
    /// <param name="text">What happened.</param>
    /// <param name="test">The test, if it came to one.</param>
    internal abstract void Failed(string kind, string text, Iperf3Test? test);
}
