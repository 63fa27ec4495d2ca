import java.net.CookieManager;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;

/** A CometD client of a few lines, on what Java has: an HttpClient that asks for HTTP/2 with each request. */
public class Publish {
    public static void main(String[] args) throws Exception {
        var url = args[0];
        var client = HttpClient.newBuilder().cookieHandler(new CookieManager()).build();
        var handshake = send(client, url, "[{\"channel\":\"/meta/handshake\",\"version\":\"1.0\",\"supportedConnectionTypes\":[\"long-polling\"]}]");
        var clientId = handshake.replaceAll(".*\"clientId\":\"([^\"]+)\".*", "$1");
        for (var i = 1; i <= 3; i++) {
            send(client, url, "[{\"channel\":\"/java\",\"data\":\"" + "x".repeat(i * 20_000) + "\",\"clientId\":\"" + clientId + "\"}]");
        }
    }

    static String send(HttpClient client, String url, String body) throws Exception {
        var request = HttpRequest.newBuilder(URI.create(url)).header("Content-Type", "application/json").POST(HttpRequest.BodyPublishers.ofString(body)).build();
        var response = client.send(request, HttpResponse.BodyHandlers.ofString());
        System.out.println(response.statusCode() + " " + response.version() + " " + response.body());
        return response.body();
    }
}
