// Runs requests through MySQL's or MariaDB's Connector/J, as the first argument says. See ../README.md.

import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.PrintStream;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Properties;

public final class Client {
    private static final String LIMIT_MS = "20000";
    private static final String STORE_PASSWORD = "public";

    public static void main(String[] arguments) throws IOException {
        boolean mariadb = arguments[0].startsWith("mariadb");
        var input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        var output = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        // Drivers may print; only answers belong on standard output.
        System.setOut(new PrintStream(OutputStream.nullOutputStream()));
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            output.println(answer(mariadb, Json.object(line)));
        }
    }

    private static String answer(boolean mariadb, Map<String, Object> request) {
        try {
            List<List<String>> rows = switch ((String) request.get("op")) {
                case "query" -> query(mariadb, request);
                case "hosts" -> Hosts.connect(mariadb, request);
                case "version" -> List.of(List.of(version(mariadb)));
                default -> throw new SQLException("unknown op " + request.get("op"));
            };
            return "{\"ok\":true,\"rows\":" + Json.rows(rows) + "}";
        } catch (SQLException error) {
            return failed(Math.max(error.getErrorCode(), 0), reasons(error));
        } catch (Exception error) {
            return failed(0, error.toString());
        }
    }

    private static String failed(int code, String message) {
        return "{\"ok\":false,\"code\":" + code + ",\"message\":" + Json.text(message) + "}";
    }

    private static String reasons(Throwable error) {
        String all = error.getMessage();
        for (Throwable cause = error.getCause(); cause != null; cause = cause.getCause()) {
            all += " / " + cause.getMessage();
        }
        return all;
    }

    private static List<List<String>> query(boolean mariadb, Map<String, Object> request)
            throws Exception {
        String place = request.get("socket") == null
            ? request.get("host") + ":" + request.get("port")
            : "localhost";
        String url = (mariadb ? "jdbc:mariadb://" : "jdbc:mysql://") + place + "/" + request.get("database");
        var rows = new ArrayList<List<String>>();
        Properties options = options(mariadb, request);
        try (Connection session = DriverManager.getConnection(url, options);
                Statement statement = session.createStatement();
                ResultSet found = statement.executeQuery((String) request.get("sql"))) {
            int columns = found.getMetaData().getColumnCount();
            while (found.next()) {
                var row = new ArrayList<String>();
                for (int column = 1; column <= columns; column++) {
                    row.add(found.getString(column));
                }
                rows.add(row);
            }
        } finally {
            String store = options.getProperty("trustCertificateKeyStoreUrl");
            if (store != null) {
                Files.deleteIfExists(Path.of(URI.create(store)));
            }
        }
        return rows;
    }

    private static Properties options(boolean mariadb, Map<String, Object> request) throws Exception {
        var options = new Properties();
        options.setProperty("user", (String) request.get("user"));
        options.setProperty("password", (String) request.get("password"));
        options.setProperty("connectTimeout", LIMIT_MS);
        options.setProperty("allowPublicKeyRetrieval", "true");
        String tls = (String) request.getOrDefault("tls", "usual");
        if (mariadb && version(true).startsWith("2.")) {
            mariadb2(options, request, tls);
        } else if (mariadb) {
            mariadb(options, request, tls);
        } else {
            mysql(options, request, tls);
        }
        return options;
    }

    private static void mysql(Properties options, Map<String, Object> request, String tls) throws Exception {
        if (request.get("socket") != null) {
            throw new SQLException("Connector/J has no Unix sockets of its own");
        }
        switch (tls) {
            case "off" -> options.setProperty("sslMode", "DISABLED");
            case "required" -> options.setProperty("sslMode", "REQUIRED");
            case "verify-ca", "verify-identity" -> {
                options.setProperty("sslMode", tls.equals("verify-ca") ? "VERIFY_CA" : "VERIFY_IDENTITY");
                options.setProperty("trustCertificateKeyStoreUrl", store(request).toUri().toString());
                options.setProperty("trustCertificateKeyStoreType", "PKCS12");
                options.setProperty("trustCertificateKeyStorePassword", STORE_PASSWORD);
            }
            default -> { }
        }
    }

    private static void mariadb(Properties options, Map<String, Object> request, String tls) {
        if (request.get("socket") != null) {
            options.setProperty("localSocket", (String) request.get("socket"));
        }
        switch (tls) {
            case "off" -> options.setProperty("sslMode", "disable");
            case "required" -> options.setProperty("sslMode", "trust");
            case "verify-ca" -> options.setProperty("sslMode", "verify-ca");
            case "verify-identity" -> options.setProperty("sslMode", "verify-full");
            default -> { }
        }
        if (tls.startsWith("verify-")) {
            options.setProperty("serverSslCert", (String) request.get("ca"));
        }
    }

    /** MariaDB's driver before 3.0, which had other names for it. */
    private static void mariadb2(Properties options, Map<String, Object> request, String tls) {
        if (tls.equals("off") || tls.equals("usual")) {
            return;
        }
        options.setProperty("useSsl", "true");
        options.setProperty("trustServerCertificate", String.valueOf(tls.equals("required")));
        options.setProperty("disableSslHostnameVerification", String.valueOf(!tls.equals("verify-identity")));
        if (tls.startsWith("verify-")) {
            options.setProperty("serverSslCert", (String) request.get("ca"));
        }
    }

    /** Connector/J reads key stores only. */
    private static Path store(Map<String, Object> request) throws IOException, GeneralSecurityException {
        byte[] pem = Files.readAllBytes(Path.of((String) request.get("ca")));
        var store = KeyStore.getInstance("PKCS12");
        store.load(null, null);
        int number = 0;
        for (Certificate one : CertificateFactory.getInstance("X.509").generateCertificates(new ByteArrayInputStream(pem))) {
            store.setCertificateEntry("ca" + number++, one);
        }
        Path path = Files.createTempFile("e2e-", ".p12");
        try (OutputStream out = Files.newOutputStream(path)) {
            store.store(out, STORE_PASSWORD.toCharArray());
        }
        return path;
    }

    private static String version(boolean mariadb) throws Exception {
        String name = mariadb ? "org.mariadb.jdbc.Driver" : "com.mysql.cj.jdbc.Driver";
        String jar = Path.of(Class.forName(name).getProtectionDomain().getCodeSource().getLocation().toURI())
            .getFileName().toString();
        return jar.replaceAll(".*-([0-9.]+)\\.jar", "$1") + " on Java " + Runtime.version().feature();
    }
}
